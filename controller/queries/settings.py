"""The settings of the running controller, with the size of its state, for the settings page and the API. No secrets."""

import os
import platform
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from controller import __version__
from controller.listen_settings import Listen
from controller.model.notifications import ChannelStatus
from controller.model.queues import EVERYTHING
from controller.model.status import Condition
from controller.notification_settings import NotificationSettings
from controller.queries.executor_conditions import list_cluster_executors
from controller.queries.leadership import Leadership, Standing, read_leadership
from controller.queries.status import ControllerView, public_source, read_controller
from controller.records import dataclass
from controller.settings import Settings
from controller.store import Transaction, messages, python_environments, queues, source_status
from controller.store.condition_file import NOTICES, read_notices
from controller.store.state_directory import StateDirectory

MAX_FILES = 2000
"""How many files of the state directory are counted for its size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateUsage:
    """The state directory: its size and the free space of its disk, in bytes.

    `database_bytes` and `python_bytes` are the sizes of the database and of the Python environments. `bytes` is the
    size of the first 2,000 files without the Python environments; `is_complete` says whether these are all.
    """

    path: str
    bytes: int
    is_complete: bool
    database_bytes: int
    python_bytes: int
    free_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptHistory:
    """The defaults of retention: finished runs of each deployment, days, and events."""

    runs: int
    days: int
    events: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of the controller: `queues` by name, and how much history it keeps."""

    max_running: int
    queues: dict[str, int]
    history: KeptHistory


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where HTTP is served. `url` is that for browsers."""

    url: str | None
    host: str
    port: int
    is_tls: bool
    is_behind_proxy: bool
    public_hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyView:
    """The settings of notifications. The URLs of channels and of the heartbeat are secrets, and are not shown.

    - `config`: the file with channels and rules, which may not exist; None for no file.
    - `has_heartbeat`: whether a monitor outside gets a heartbeat of the controller.
    """

    config: str | None
    channels: tuple[ChannelStatus, ...]
    public_url: str | None
    has_heartbeat: bool
    has_deployment_metrics: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsView:
    """The settings of the controller.

    - `interval_seconds`: how often it polls the source; `grace_seconds`: from SIGTERM to SIGKILL.
    - `token_changed_at`: when the token was created or replaced; `session_seconds`: how long a login lasts.
    - `executors`: the kinds of executors that runs can use. `executor_conditions`: of those on a cluster, by name.
    - `leadership`: which controller leads; None for a state in a file.
    """

    version: str
    python: str
    platform: str
    controller: ControllerView
    repo: str
    ref: str | None
    path: str
    environment: str | None
    revision: str | None
    working_tree: bool
    is_atomic: bool
    interval_seconds: float
    grace_seconds: float
    drain: bool
    flow_user: str | None
    executors: tuple[str, ...]
    state: StateUsage
    limits: Limits
    listen: Address | None
    token_changed_at: datetime | None
    session_seconds: float
    web_url_template: str | None
    conditions: tuple[Condition, ...]
    executor_conditions: dict[str, tuple[Condition, ...]]
    notifications: NotifyView
    leadership: Leadership | None


def read_settings(
    tx: Transaction,
    settings: Settings,
    state: StateDirectory,
    *,
    history: KeptHistory,
    url: str | None,
    session_seconds: float,
    web_url_template: str | None,
    standing: Standing | None,
) -> SettingsView:
    """Return the settings, and the facts about the state that an operator asks for first."""
    source = public_source(source_status.find(tx), settings.location)
    return SettingsView(
        version=__version__,
        python=platform.python_version(),
        platform=platform.platform(),
        controller=read_controller(state),
        repo=source.repo,
        ref=settings.location.ref,
        path=settings.location.path,
        environment=settings.location.environment,
        revision=source.last_applied_revision,
        working_tree=settings.working_tree,
        is_atomic=settings.is_atomic,
        interval_seconds=settings.interval.total_seconds(),
        grace_seconds=settings.grace.total_seconds(),
        drain=settings.drain,
        flow_user=settings.flow_user,
        executors=("local", "ray") if settings.executors.has_cluster else ("local",),
        state=_usage(tx, state),
        limits=_limits(tx, settings, history),
        listen=None if settings.listen is None else _address(settings.listen, url),
        token_changed_at=_changed_at(state.path / "token.sha256"),
        session_seconds=session_seconds,
        web_url_template=web_url_template,
        conditions=(*source.conditions, *read_notices(state.path / NOTICES)),
        executor_conditions={status.name: status.conditions for status in list_cluster_executors(tx)},
        notifications=_notifications(tx, settings.notifications),
        leadership=read_leadership(tx, state, standing),
    )


def _notifications(tx: Transaction, settings: NotificationSettings) -> NotifyView:
    return NotifyView(
        config=None if settings.config is None else str(settings.config),
        channels=tuple(messages.find_channels(tx)),
        public_url=settings.public_url,
        has_heartbeat=settings.heartbeat_url is not None,
        has_deployment_metrics=settings.has_deployment_metrics,
    )


def _limits(tx: Transaction, settings: Settings, history: KeptHistory) -> Limits:
    limits = queues.limits(tx)
    return Limits(
        max_running=settings.max_running,
        queues={name: limit for name, limit in sorted(limits.items()) if name != EVERYTHING},
        history=history,
    )


def _address(listen: Listen, url: str | None) -> Address:
    return Address(
        url=url,
        host=listen.host,
        port=listen.port,
        is_tls=listen.certificate is not None,
        is_behind_proxy=listen.is_behind_proxy,
        public_hosts=listen.public_hosts,
    )


def _usage(tx: Transaction, state: StateDirectory) -> StateUsage:
    size = count = 0
    for entry_size in _file_sizes(state.path, state.python):
        count += 1
        if count > MAX_FILES:
            break
        size += entry_size
    return StateUsage(
        path=str(state.path),
        bytes=size,
        is_complete=count <= MAX_FILES,
        database_bytes=sum(_size(state.file.with_name(f"{state.file.name}{end}")) for end in ("", "-wal")),
        python_bytes=python_environments.bytes_on_disk(tx),
        free_bytes=_free(state.path),
    )


def _file_sizes(top: Path, excluded: Path) -> Iterator[int]:
    """Yield the sizes of the files below a directory, without following links. Unreadable ones are left out."""
    directories = [top]
    while directories:
        try:
            entries = list(os.scandir(directories.pop()))
        except OSError:
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if Path(entry.path) != excluded:
                    directories.append(Path(entry.path))
            else:
                yield _size(Path(entry.path))


def _size(file: Path) -> int:
    try:
        return file.lstat().st_size
    except OSError:
        return 0


def _free(directory: Path) -> int | None:
    try:
        usage = os.statvfs(directory)
    except OSError:
        return None
    return usage.f_bavail * usage.f_frsize


def _changed_at(file: Path) -> datetime | None:
    try:
        return datetime.fromtimestamp(file.stat().st_mtime, UTC)
    except OSError:
        return None
