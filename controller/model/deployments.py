"""The declaration of a deployment. `manifests` builds it from one document; all later stages read it."""

from collections.abc import Mapping
from dataclasses import field
from datetime import timedelta
from typing import Any

from controller.model.notifications import Expectation, NotifyRule
from controller.model.policies import DEFAULT_QUEUE, Catchup, Overlap, Prune, Resources, Retention, Retries, Secret
from controller.model.python_environments import PythonSettings
from controller.model.schedules import Schedule
from controller.model.triggers import After, FileTrigger, WebhookTrigger
from controller.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowTarget:
    """A Python callable in a file or in a module. No `name` means the only flow there.

    `path` is relative to the repository root, with `/`. With a dotted `module`, `path` is empty: the module is imported
    when the flow starts, from the import paths of the deployment or from its Python environment.
    """

    path: str
    name: str | None = None
    module: str | None = None

    def __str__(self) -> str:
        place = self.module or self.path
        return place if self.name is None else f"{place}:{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandTarget:
    """A program with its arguments, started without a shell.

    With `skip_exit_code`, it reports that there was nothing to do.
    """

    argv: tuple[str, ...]
    skip_exit_code: int | None = None

    def __str__(self) -> str:
        return " ".join(self.argv)


Target = FlowTarget | CommandTarget


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One declared deployment: what runs, with which parameters, when, and how failures are handled.

    `name` is its identity. It is declared in `file` (relative to the repository root) at `line` (from 1). `document` is
    the mapping as written; for a deployment of a matrix, with the values of this one, which are also in `matrix`. Runs
    are pinned to `spec_digest`, the `sha256:…` of the document. `working_directory` and `import_paths` are relative to
    the repository root, with `/`; an empty string means the root itself. At most
    `overlap_limit` of its runs are in progress at the same time, unless `overlap` allows any number. `run_name` is the
    name of its runs, with placeholders. `timezone` is that of references if no schedule is concerned; None if not
    declared. `executor` is the name of the executor of its runs, None for the controller's default. A run on a cluster
    is stopped if the controller has not answered for `on_silence`; None: never.
    """

    name: str
    target: Target
    file: str
    line: int
    document: Mapping[str, Any]
    spec_digest: str
    description: str = ""
    tags: tuple[str, ...] = ()
    version: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    schedules: tuple[Schedule, ...] = ()
    matrix: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    suspend: bool = False
    timeout: timedelta | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    working_directory: str = ""
    overlap: Overlap = Overlap.SKIP
    overlap_limit: int = 1
    run_name: str | None = None
    timezone: str | None = None
    catchup: Catchup = field(default_factory=Catchup)
    start_deadline: timedelta | None = None
    retries: Retries = field(default_factory=Retries)
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    resources: Resources = field(default_factory=Resources)
    queue: str = DEFAULT_QUEUE
    priority: int = 0
    prune: Prune = Prune.ENABLED
    retention: Retention = field(default_factory=Retention)
    renamed_from: str | None = None
    python: PythonSettings | None = None
    notify: tuple[NotifyRule, ...] = ()
    expect: Expectation = field(default_factory=Expectation)
    heartbeat: str | Secret | None = None
    import_paths: tuple[str, ...] = ()
    after: After = field(default_factory=After)
    files: tuple[FileTrigger, ...] = ()
    webhooks: tuple[WebhookTrigger, ...] = ()
    executor: str | None = None
    on_silence: timedelta | None = None

    @property
    def gate(self) -> After | None:
        """The upstream deployments that each due time waits for; None without schedules or `after`."""
        return self.after if self.schedules and self.after.upstreams else None

    @property
    def zones(self) -> tuple[str, ...]:
        """The names of the time zones of its schedules; without schedules, the declared time zone."""
        own = () if self.timezone is None else (self.timezone,)
        return tuple(schedule.timezone for schedule in self.schedules) or own

    @property
    def zone(self) -> str | None:
        """The time zone that all its schedules share, or without schedules the declared one; None if they differ."""
        return self.zones[0] if len(set(self.zones)) == 1 else None
