"""How a deployment's runs overlap, are caught up, retried, limited and kept, as values. `manifests` builds them."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

DEFAULT_QUEUE = "default"


class Overlap(StrEnum):
    """What becomes of a due time while an earlier run is not final."""

    SKIP = "skip"
    QUEUE = "queue"
    REPLACE = "replace"
    ALLOW = "allow"


class CatchupPolicy(StrEnum):
    """Which of the missed times are run."""

    LATEST = "latest"
    ALL = "all"
    NONE = "none"


class RetryOn(StrEnum):
    """An end of an attempt after which another one may follow."""

    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CRASHED = "crashed"


class Prune(StrEnum):
    """Whether a deployment that leaves the repository is deleted."""

    ENABLED = "enabled"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Catchup:
    """Missed times of the last `window` are looked at, the newest `max` of them; and no more wait in line (`queue`)."""

    policy: CatchupPolicy = CatchupPolicy.LATEST
    window: timedelta = timedelta(hours=1)
    max: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """Up to `limit` more attempts: after `delay`, then `backoff` times longer each, spread by `jitter` (0 to 1)."""

    limit: int = 0
    delay: timedelta = timedelta(seconds=30)
    backoff: float = 2.0
    max_delay: timedelta = timedelta(minutes=10)
    jitter: float = 0.1
    on: tuple[RetryOn, ...] = (RetryOn.FAILED, RetryOn.TIMED_OUT)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvSecret:
    """The value of a variable in the environment of the controller."""

    env: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSecret:
    """The content of a file, by its absolute path on the controller's machine."""

    file: str


Secret = EnvSecret | FileSecret


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Limits of one run: bytes of memory, seconds of processor time, processes; None is no limit."""

    memory: int | None = None
    cpu_seconds: float | None = None
    processes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How many final runs are kept, and how many days; None is the operator's default."""

    runs: int | None = None
    days: float | None = None
