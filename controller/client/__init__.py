"""A Python client for the HTTP API. It needs only the standard library; the command line uses it too.

    client = Client.of_state(".git/controller")               # on the same machine, over the Unix socket
    client = Client("https://ops.example.com", token)         # over the network
    run = client.trigger("nightly", {"day": "2026-11-23"})
    print(client.wait(run["run_id"])["state"])

Methods return the JSON described in docs/api.md, typed in `controller.client.shapes`. These names are loaded when they
are first used: a controller uses only two small modules of this package.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from controller.client.client import DEFAULT_URL, Client, Message
    from controller.client.problems import NoAnswerError, NotReachedError, ProblemError

__all__ = ["DEFAULT_URL", "Client", "Message", "NoAnswerError", "NotReachedError", "ProblemError"]


if not TYPE_CHECKING:  # type checkers only see the imports above

    def __getattr__(name: str) -> object:
        """Load a public name when it is first used (PEP 562)."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = "problems" if name.endswith("Error") else "client"
        value = getattr(__import__(f"{__name__}.{module}", fromlist=[name]), name)
        globals()[name] = value
        return value
