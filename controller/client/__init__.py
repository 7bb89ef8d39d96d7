"""A small client of the API for Python programs: the standard library and nothing else of ours. The CLI uses it too.

    client = Client.of_state(".git/controller")               # on the same machine, over the controller's socket
    client = Client("https://ops.example.com", token)         # from anywhere
    run = client.trigger("nightly", {"day": "2026-11-23"})
    print(client.wait(run["run_id"])["state"])

Answers are the JSON that docs/api.md describes, typed in `controller.client.shapes`.
"""

from controller.client.client import DEFAULT_URL, Client, Message
from controller.client.problems import NoAnswerError, NotReachedError, ProblemError

__all__ = ["DEFAULT_URL", "Client", "Message", "NoAnswerError", "NotReachedError", "ProblemError"]
