"""Commit statuses: what a git server shows beside a commit, once the controller has processed it.

The operator declares in `notify.yaml` where they go. They are messages of a channel of their own.
"""

from enum import StrEnum

from controller.model.policies import Secret
from controller.records import dataclass

COMMIT_STATUS_CHANNEL = "commit-status"
"""The name of the channel to which commit statuses are sent."""
COMMIT_STATUS = "commit_status"
"""The state of messages that are commit statuses."""


class Provider(StrEnum):
    """The software of a git server. Forgejo has the API of Gitea; `bitbucket` is Bitbucket Cloud."""

    GITHUB = "github"
    GITLAB = "gitlab"
    GITEA = "gitea"
    FORGEJO = "forgejo"
    BITBUCKET = "bitbucket"


class CommitState(StrEnum):
    """The result for a commit.

    - `success`: applied. `failure`: not applied, or only in part, because of what the commit contains, or because its
      deletions wait for approval. `error`: the commit could not be read.
    - `pending`: applied, but Python environments of its deployments are still being built.
    """

    PENDING = "pending"
    SUCCESS = "success"
    FAILURE = "failure"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitStatusSettings:
    """Where commit statuses go.

    - `url`: the URL of the repository's web page; None if it is that of the repository that the controller follows.
    - `context`: the name under which the server shows the status; None for the default.
    """

    provider: Provider
    token: Secret
    url: str | None = None
    context: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitStatus:
    """The status of a commit. `ref`: the branch or tag that the controller follows; None if it follows a commit."""

    commit: str
    state: CommitState
    description: str
    ref: str | None = None
