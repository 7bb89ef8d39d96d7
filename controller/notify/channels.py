"""The channels of the operator: reads `notify.yaml`, reads it again when it changes, and records the channels' status.

The notifier calls `refresh` before each evaluation; `delivery` asks for the endpoint of a channel before each attempt,
and records the outcome. The last valid version of the file stays in use while a newer one is invalid.
"""

import logging
import os
import stat
import threading
from collections.abc import Mapping
from dataclasses import field, replace
from datetime import datetime
from pathlib import Path

from controller.clock import Clock
from controller.errors import UsageError
from controller.git_servers import check_web_page
from controller.manifests.notify_file import describe_errors, read_notify_file
from controller.model.commit_statuses import CommitStatusSettings
from controller.model.findings import Finding, Severity
from controller.model.notifications import Channel, ChannelState, ChannelStatus, NotifySettings, SettingsProblem
from controller.notify.redaction import scheme_of
from controller.notify.secret_lookup import MisconfiguredError, find_secret
from controller.records import dataclass
from controller.store import messages
from controller.store.store import Store, Transaction

log = logging.getLogger(__name__)

WEBHOOK = "webhook"
_UNRESOLVED = "apprise"
"""The kind of a channel whose URL can't be read yet, or is none."""
_MAX_BYTES = 1024 * 1024 + 1

FileStamp = tuple[int, int, int]
_NO_CHANNELS_HINT = "Declare channels; to switch all of them off, restart the controller without the file."
_UNREADABLE = (0, 0, 0)
"""The stamp of a file that could not be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A channel with the values of its secrets, for one delivery. `kind` is what may be shown of the URL.

    For commit statuses, `url` is that of the repository's web page, and `key` is the token.
    """

    channel: Channel
    kind: str
    url: str = field(repr=False)
    key: str | None = field(default=None, repr=False)

    @property
    def is_webhook(self) -> bool:
        """Whether messages are posted to it as JSON."""
        return self.channel.webhook is not None


class ChannelRegistry:
    """The channels and rules in `notify.yaml`. Safe to use from several threads.

    `path`: the file, or None without channels. `is_required`: whether the file must exist. `variables`: the environment
    in which secrets are looked up. `repository`: the URL of the web page of the repository that the controller follows,
    if it is known. `settings` is the last valid version, and `version` counts the versions.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        path: Path | None,
        variables: Mapping[str, str],
        *,
        is_required: bool = False,
        repository: str | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._path = path
        self.variables = variables
        self._is_required = is_required
        self._repository = repository
        self._lock = threading.Lock()  # never held while a write transaction begins, since `record` is called in one
        self._reading = threading.Lock()
        self._stamp: FileStamp | None = None
        self._statuses: dict[str, ChannelStatus] = {}
        self.settings = NotifySettings()
        self.problem: SettingsProblem | None = None
        self.version = 0

    def load(self) -> tuple[Finding, ...]:
        """Read the file when the controller starts. Return its warnings, which are logged as well.

        Raises UsageError if the file is invalid, StateError.
        """
        content = None if self._path is None else self._read_first(self._path)
        if content is None:
            self._use(NotifySettings())
            return ()
        settings, findings = read_notify_file(content, str(self._path))
        if errors := [finding for finding in findings if finding.severity is Severity.ERROR]:
            raise UsageError(describe_errors(errors), hint=errors[0].hint if len(errors) == 1 else None)
        self._use(settings)
        return self._warn(findings)

    def _read_first(self, path: Path) -> bytes | None:
        try:
            content, self._stamp = _read(path)
        except OSError as error:
            if self._is_required or not isinstance(error, FileNotFoundError):
                raise UsageError(f"{_unreadable(path, error)}.") from None
            return None
        return content

    def refresh(self) -> bool:
        """Read the file again if it has changed. Return whether the channels or rules are others now.

        Raises StateError.
        """
        if self._path is None:
            return False
        with self._reading:
            try:
                if _stamp(self._path.stat()) == self._stamp:
                    return False
                content, stamp = _read(self._path)
            except OSError as error:
                if self._stamp is not None or not isinstance(error, FileNotFoundError):
                    self._report(_unreadable(self._path, error), None)
                    self._stamp = _UNREADABLE
                return False
            settings, findings = read_notify_file(content, str(self._path))
            problem = _first_error(findings)
            is_empty = bool(self.settings.receivers) and not settings.receivers
            if problem is not None:
                self._report(str(problem), problem.hint)
            elif is_empty:  # an editor may have truncated the file before it writes the new content
                self._report(f"{self._path} declares no channels", _NO_CHANNELS_HINT)
            else:
                self._use(settings)
                self._warn(findings)
                log.info("Read the channels again", extra={"path": str(self._path), "channels": len(settings.channels)})
            self._stamp = stamp
            return problem is None and not is_empty

    def endpoint(self, name: str) -> Endpoint | None:
        """Return the channel with its secrets; None if no such channel is declared. Raises MisconfiguredError."""
        channel = self.settings.receivers.get(name)
        return None if channel is None else self._resolve(channel)

    def has_secrets(self, name: str) -> bool:
        """Return whether the secrets of a channel can be read."""
        try:
            self.endpoint(name)
        except MisconfiguredError:
            return False
        return True

    def is_failing(self, name: str) -> bool:
        """Return whether the last delivery to a channel failed."""
        status = self.find_status(name)
        return status is not None and status.state is ChannelState.FAILING

    def find_status(self, name: str) -> ChannelStatus | None:
        """Return the status of a channel; None if no such channel is declared."""
        with self._lock:
            return self._statuses.get(name)

    def record(
        self,
        tx: Transaction,
        name: str,
        state: ChannelState,
        message: str = "",
        *,
        kind: str | None = None,
        sent_at: datetime | None = None,
    ) -> None:
        """Record the state of a channel in the transaction, if anything has changed. `message` contains no secret."""
        with self._lock:
            before = self._statuses.get(name)
            if before is None or name not in self.settings.receivers:
                return
            after = replace(
                before,
                state=state,
                message=message,
                kind=kind or before.kind,
                since=before.since if state is before.state else self._clock.now(),
                sent_at=sent_at or before.sent_at,
            )
            if after == before:
                return
            messages.save_channel(tx, after)
            tx.after_commit(lambda: self._remember(after, is_new_state=state is not before.state))

    def _remember(self, status: ChannelStatus, *, is_new_state: bool) -> None:
        with self._lock:
            if status.name in self._statuses:
                self._statuses[status.name] = status
        if is_new_state and status.state is ChannelState.READY:
            log.info("A channel works again", extra={"channel": status.name})
        elif is_new_state:
            what = "failing" if status.state is ChannelState.FAILING else "misconfigured"
            log.warning("A channel is %s", what, extra={"channel": status.name, "error": status.message})

    def _use(self, settings: NotifySettings) -> None:
        """Use this version of the file: record its channels, and that nothing is wrong with it."""
        with self._store.write() as tx:
            recorded = {status.name: status for status in messages.find_channels(tx)}
            statuses = {
                name: self._first_status(channel, recorded.get(name)) for name, channel in settings.receivers.items()
            }
            for status in statuses.values():
                if status != recorded.get(status.name):
                    messages.save_channel(tx, status)
            messages.keep_channels(tx, statuses)
            messages.save_settings_problem(tx, None)
        with self._lock:
            self._statuses = statuses
            self.settings = settings
            self.problem = None
            self.version += 1

    def _first_status(self, channel: Channel, recorded: ChannelStatus | None) -> ChannelStatus:
        """Return the status of a channel before the next attempt: a recorded failure stays until one succeeds."""
        now = self._clock.now()
        try:
            kind, state, message = self._resolve(channel).kind, ChannelState.READY, ""
            if recorded is not None and recorded.state is ChannelState.FAILING:
                state, message = recorded.state, recorded.message
        except MisconfiguredError as error:
            kind = _kind_without_url(channel)
            state, message = ChannelState.MISCONFIGURED, error.instruction
        status = ChannelStatus(name=channel.name, kind=kind, state=state, message=message, since=now)
        if recorded is None:
            return status
        since = recorded.since if recorded.state is state else now
        return replace(status, since=since, sent_at=recorded.sent_at)

    def _resolve(self, channel: Channel) -> Endpoint:
        if channel.commit_status is not None:
            return self._resolve_commit_status(channel, channel.commit_status)
        if channel.webhook is not None:
            url = find_secret(channel.webhook, self.variables)
            key = None if channel.hmac is None else find_secret(channel.hmac, self.variables)
            return Endpoint(channel=channel, kind=WEBHOOK, url=url, key=key)
        assert channel.url is not None, "the reader requires a URL or a webhook"
        url = find_secret(channel.url, self.variables)
        return Endpoint(channel=channel, kind=scheme_of(url) or _UNRESOLVED, url=url)

    def _resolve_commit_status(self, channel: Channel, declared: CommitStatusSettings) -> Endpoint:
        page = declared.url or self._repository
        if page is None:
            message = "The repository is not followed by a URL, so its git server is unknown."
            raise MisconfiguredError(message, hint="Set commit_status.url in notify.yaml.")
        try:
            check_web_page(declared.provider, page)
        except UsageError as error:
            message = f"The URL of --repo does not fit the provider {declared.provider}: {error.message}."
            raise MisconfiguredError(message, hint="Set commit_status.url in notify.yaml.") from None
        token = find_secret(declared.token, self.variables)
        return Endpoint(channel=channel, kind=declared.provider.value, url=page, key=token)

    def _report(self, message: str, hint: str | None) -> None:
        """Record that the current version of the file is not used, if that is not recorded yet."""
        if self.problem is not None and self.problem.message == message:
            return
        since = self._clock.now() if self.problem is None else self.problem.since
        problem = SettingsProblem(message=message, hint=hint, since=since)
        with self._store.write() as tx:
            messages.save_settings_problem(tx, problem)
        self.problem = problem
        extra = {"problem": message, "hint": hint}
        log.error("The channels can't be read; the last valid version stays in use", extra=extra)

    def _warn(self, findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
        for finding in findings:
            log.warning("Warning in the file of the channels", extra={"finding": str(finding), "hint": finding.hint})
        return findings


def _kind_without_url(channel: Channel) -> str:
    if channel.commit_status is not None:
        return channel.commit_status.provider.value
    return WEBHOOK if channel.webhook is not None else _UNRESOLVED


def _read(path: Path) -> tuple[bytes, FileStamp]:
    """Return the content of the file, and the stamp of the version that was read. Raises OSError."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY), "rb") as stream:
        information = os.fstat(stream.fileno())
        if not stat.S_ISREG(information.st_mode):
            raise OSError(0, "it is not a regular file")
        return stream.read(_MAX_BYTES), _stamp(information)


def _first_error(findings: tuple[Finding, ...]) -> Finding | None:
    return next((finding for finding in findings if finding.severity is Severity.ERROR), None)


def _unreadable(path: Path, error: OSError) -> str:
    return f"{path} can't be read: {error.strerror or error}"


def _stamp(information: os.stat_result) -> FileStamp:
    return information.st_mtime_ns, information.st_size, information.st_ino
