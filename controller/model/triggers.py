"""The triggers of runs besides the clock: upstream deployments, files and webhooks.

`manifests` builds the declared triggers; `store` stores what has happened, and `queries` returns it.
"""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256

from controller.model.policies import Secret
from controller.records import dataclass


class UpstreamOutcome(StrEnum):
    """How a run of an upstream deployment has to end: `finished` accepts every outcome."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    FINISHED = "finished"


class OnRedo(StrEnum):
    """Whether a retry or another redo of an upstream run that has released a run already releases one again."""

    IGNORE = "ignore"
    RUN = "run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """A deployment whose runs have to finish first."""

    deployment: str
    on: UpstreamOutcome = UpstreamOutcome.SUCCEEDED
    on_redo: OnRedo = OnRedo.IGNORE


@dataclass(frozen=True, slots=True, kw_only=True)
class After:
    """The value of `after`: all `upstreams` have to finish as required, or with `any` each of them releases a run.

    For a deployment with schedules it is a gate: its due times wait. For one without, it is an event that starts runs.
    """

    upstreams: tuple[Upstream, ...] = ()
    any: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTrigger:
    """Starts a run for each new file in the folder `path` that matches the glob `pattern`.

    `path` is absolute. A file is ready when its size and modification time have not changed for `settle`. `parameter`
    is the parameter that gets the path of the file; None passes no path.
    """

    path: str
    pattern: str = "*"
    settle: timedelta = timedelta(seconds=5)
    parameter: str | None = None

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """The parameters that it sets."""
        return () if self.parameter is None else (self.parameter,)


DELIVERY_LIFE = timedelta(days=3)
"""How long a delivery of a webhook is remembered: as long as GitHub allows a redelivery, and as Stripe repeats one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileVersion:
    """One version of a file: a change of its content, or another file with the same path, is another version.

    `path` is absolute. Bytes of it that are not UTF-8 are surrogates, as `os.fsdecode` makes them. `size` is in bytes,
    and `modified_ns` in nanoseconds since 1970.
    """

    path: str
    inode: int
    size: int
    modified_ns: int

    @property
    def key(self) -> str:
        """The idempotency key of the run of this version."""
        parts = f"{self.inode} {self.size} {self.modified_ns} {self.path}"
        return f"file:{sha256(parts.encode('utf-8', 'surrogateescape')).hexdigest()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenFile:
    """The version of a file that started the run `run_id` of a deployment.

    `missing_since` is when the file was first missing; None while it exists.
    """

    deployment: str
    version: FileVersion
    run_id: str | None
    missing_since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchProblem:
    """The reason, in PascalCase, why files in the folder `path` start no runs of a deployment."""

    deployment: str
    path: str
    reason: str
    message: str
    since: datetime


class WebhookSignature(StrEnum):
    """How a request proves that its sender has the secret.

    `hmac-sha256` is the HMAC of the body, `token` the secret itself. The others sign the time as well.
    """

    HMAC_SHA256 = "hmac-sha256"
    TOKEN = "token"
    STANDARD_WEBHOOKS = "standard-webhooks"
    STRIPE = "stripe"
    SLACK = "slack"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookTrigger:
    """Starts a run for each request to `/hooks/<name>`.

    `header` has the signature or the token. `parameters` maps a parameter to the RFC 9535 JSONPath of its value in the
    body.
    """

    name: str
    secret: Secret
    signature: WebhookSignature = WebhookSignature.HMAC_SHA256
    header: str = "X-Signature"
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """The parameters that it sets."""
        return tuple(self.parameters)
