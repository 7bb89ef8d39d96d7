"""A Python client for the HTTP API. It needs only the standard library; the command line uses it too.

    client = Client.of_state(".git/controller")               # on the same machine, over the Unix socket
    client = Client("https://ops.example.com", token)         # over the network
    run = client.trigger("nightly", {"day": "2026-11-23"})
    print(client.wait(run["run_id"])["state"])

Methods return the JSON described in docs/api.md, typed in `controller.client.shapes`.
"""

from controller.client.client import DEFAULT_URL, Client, Message
from controller.client.problems import NoAnswerError, NotReachedError, ProblemError

__all__ = ["DEFAULT_URL", "Client", "Message", "NoAnswerError", "NotReachedError", "ProblemError"]
