"""Writes the status of each commit that a pass has processed to the outbox, if `notify.yaml` declares where it goes.

`controller.app.notifications` makes `CommitStatuses` a collector of each evaluation, in its transaction. The
input is the recorded status of the source, so a commit that was replaced before an evaluation gets no status.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from controller.model.commit_statuses import (
    COMMIT_STATUS,
    COMMIT_STATUS_CHANNEL,
    CommitState,
    CommitStatus,
    CommitStatusSettings,
)
from controller.model.commits import commit_id
from controller.model.findings import Severity
from controller.model.notifications import Message, NotifySettings
from controller.model.python_environments import PythonState
from controller.model.status import INVALID, WITHHELD, ConditionType, SourceStatus
from controller.notify.channel_tests import no_commit_status
from controller.store import Transaction, events, messages, python_uses, source_status
from controller.store.python_uses import PythonProblem
from controller.text import format_count, shorten

MAX_DESCRIPTION = 140
"""The length of a description that all git servers accept."""
MAX_COUNTED = 1000
"""As many findings of a commit are recorded."""
DEFAULT_CONTEXT = "controller"
_SHA_LENGTHS = (40, 64)


class CommitStatuses:
    """The statuses of commits. Used by one thread, except for `test_message`.

    - `settings` returns the current content of `notify.yaml`. `new_id` returns the id of a new message.
    - `repository`: the URL of the web page of the repository that the controller follows, if it is known.
    - `public_url`: the address of the dashboard, to which statuses link.
    """

    def __init__(
        self,
        settings: Callable[[], NotifySettings],
        new_id: Callable[[datetime], str],
        *,
        repository: str | None = None,
        public_url: str | None = None,
    ) -> None:
        self._settings = settings
        self._new_id = new_id
        self._repository = repository
        self._public_url = public_url
        self._last: tuple[object, ...] | None = None

    def has_work(self, tx: Transaction, now: datetime) -> bool:
        """Return whether `collect` returns a status. `tx` is a read transaction."""
        read, message = self._find_new(tx, now)
        if message is None:
            self._remember(read)
        return message is not None

    def collect(self, tx: Transaction, now: datetime) -> list[Message]:
        """Return the status of the current commit if it is new. A status that still waits is superseded by it.

        The caller adds it to the outbox in the same transaction.
        """
        read, message = self._find_new(tx, now)
        tx.after_commit(lambda: self._remember(read))
        if message is None:
            return []
        # Its first attempt is not made before the next attempt of what it replaces, so that pauses of the server apply.
        earliest = messages.supersede(tx, COMMIT_STATUS_CHANNEL)
        return [message if earliest is None or earliest <= now else replace(message, not_before=earliest)]

    def test_message(self, tx: Transaction, state: str, now: datetime) -> Message:
        """Return a message in this state that reports the status of the current commit again.

        Raises NotFoundError if no commit has been processed, or if no commit statuses are declared.
        """
        declared = self._settings().commit_status
        message = None if declared is None else self._message(tx, declared, state, now)
        return no_commit_status(tx, state, now) if message is None else message

    def _find_new(self, tx: Transaction, now: datetime) -> tuple[tuple[object, ...], Message | None]:
        """Return what was read, and the status of the current commit, or None if it is not new."""
        declared = self._settings().commit_status
        if declared is None:
            return (), None
        read = (declared, events.last_number(tx), source_status.find_attempted_revision(tx))
        message = None if read == self._last else self._message(tx, declared, COMMIT_STATUS, now)
        is_new = message is not None and not _is_same(message, messages.find_newest_commit_status(tx))
        return read, message if is_new else None

    def _remember(self, read: tuple[object, ...]) -> None:
        self._last = read

    def _message(self, tx: Transaction, declared: CommitStatusSettings, state: str, now: datetime) -> Message | None:
        source = source_status.find(tx)
        status = None if source is None else commit_status(source, python_uses.find_not_ready(tx))
        if source is None or status is None:
            return None
        default = DEFAULT_CONTEXT if source.environment is None else f"{DEFAULT_CONTEXT}/{source.environment}"
        payload = {
            "commit": status.commit,
            "state": status.state.value,
            "context": declared.context or default,
            "ref": status.ref,
            "target_url": None if self._public_url is None else f"{self._public_url.rstrip('/')}/source",
            "repository": declared.url or self._repository,
        }
        return Message(
            id=self._new_id(now),
            channel=COMMIT_STATUS_CHANNEL,
            state=state,
            title=f"Commit {status.commit[:12]}: {status.state}",
            body=status.description,
            created_at=now,
            not_before=now,
            payload=payload,
        )


def commit_status(source: SourceStatus, python: list[PythonProblem]) -> CommitStatus | None:
    """Return the status of the last commit that a pass attempted; None if there is none, or nothing is known about it.

    `python`: the Python environments that are not ready.
    """
    revision = source.last_attempted_revision or ""
    commit = commit_id(revision)
    ready = next((each for each in source.conditions if each.type is ConditionType.READY), None)
    if ready is None or len(commit) not in _SHA_LENGTHS or not _names_commit(revision):
        return None
    failed = [each for each in python if each.state is PythonState.FAILED]
    state = CommitState.SUCCESS
    description = "Applied"
    if ready.reason == INVALID:
        state, description = CommitState.FAILURE, f"{_count_errors(source)}: {ready.message}"
    elif ready.reason == WITHHELD:
        state, description = CommitState.FAILURE, "Applied, except for its deletions, which wait for approval"
    elif not ready.is_true:
        if revision == source.revision:  # it was applied; the source can't be read at the moment
            return None
        state, description = CommitState.ERROR, f"The commit can't be read: {ready.message}"
    elif failed:
        state, description = CommitState.FAILURE, f"{_describe_python(failed)} can't be built: {failed[0].message}"
    elif python:
        state, description = CommitState.PENDING, f"{_describe_python(python)} is being built"
    return CommitStatus(
        commit=commit,
        state=state,
        description=shorten(description, MAX_DESCRIPTION),
        ref=revision.rpartition("@")[0] or None,
    )


def _names_commit(revision: str) -> bool:
    """Whether a revision names a commit, and not the files of a directory."""
    algorithm = revision.rpartition("@")[2].partition(":")[0]
    return algorithm in ("sha1", "sha256") and not revision.startswith("dir@sha256:")


def _count_errors(source: SourceStatus) -> str:
    count = sum(finding.severity is Severity.ERROR for finding in source.findings)
    return f"{MAX_COUNTED} or more errors" if len(source.findings) >= MAX_COUNTED else format_count(count, "error")


def _describe_python(problems: list[PythonProblem]) -> str:
    count = len({problem.deployment for problem in problems})
    return f"The Python environment of {format_count(count, 'deployment')}"


def _is_same(message: Message, last: Message | None) -> bool:
    """Whether the last recorded status of a commit says the same, apart from its description."""
    return last is not None and _identity(message.payload) == _identity(last.payload)


def _identity(payload: Mapping[str, Any]) -> list[Any]:
    return [payload.get(name) for name in ("commit", "state", "context", "repository")]
