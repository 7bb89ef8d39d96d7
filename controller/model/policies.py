"""The policies of a deployment: overlap, catch-up, retries, secrets, resource limits and retention.

`manifests` builds them from a document.
"""

from collections.abc import Mapping
from dataclasses import field
from datetime import timedelta
from enum import StrEnum

from controller.records import dataclass

DEFAULT_QUEUE = "default"


class Overlap(StrEnum):
    """How to treat a due time while an earlier run has not finished."""

    SKIP = "skip"
    QUEUE = "queue"
    REPLACE = "replace"
    ALLOW = "allow"


class CatchupPolicy(StrEnum):
    """Which of the missed due times to run."""

    LATEST = "latest"
    ALL = "all"
    NONE = "none"


class RetryOn(StrEnum):
    """An outcome of an attempt after which it may be retried."""

    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CRASHED = "crashed"


class Prune(StrEnum):
    """Whether to delete a deployment that is removed from the repository."""

    ENABLED = "enabled"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Catchup:
    """Which missed due times to consider: those of the last `window`, and at most the newest `max`.

    With `overlap: queue`, `max` also limits how many runs of the deployment wait.
    """

    policy: CatchupPolicy = CatchupPolicy.LATEST
    window: timedelta = timedelta(hours=1)
    max: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """Up to `limit` further attempts.

    The first one follows after `delay`. Each further delay is `backoff` times longer, up to `max_delay`. `jitter`
    (0 to 1) is the fraction by which a delay may vary.
    """

    limit: int = 0
    delay: timedelta = timedelta(seconds=30)
    backoff: float = 2.0
    max_delay: timedelta = timedelta(minutes=10)
    jitter: float = 0.1
    on: tuple[RetryOn, ...] = (RetryOn.FAILED, RetryOn.TIMED_OUT)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvSecret:
    """A secret from a variable of the controller's environment."""

    env: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSecret:
    """A secret from a file, by its absolute path on the controller's machine."""

    file: str


Secret = EnvSecret | FileSecret


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """The limits of one run: bytes of memory, seconds of CPU time, and number of processes. None means no limit.

    A cluster reserves the memory, and further `cpus`, `gpus` and amounts of `custom` resources, by their names.
    """

    memory: int | None = None
    cpu_seconds: float | None = None
    processes: int | None = None
    cpus: float | None = None
    gpus: float | None = None
    custom: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How many finished runs to keep, and for how many days. None means the default of `controller.runs.retention`."""

    runs: int | None = None
    days: float | None = None
