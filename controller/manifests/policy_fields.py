"""Reads the policies of a document: overlap, catch-up, retries, secrets, resource limits, queue and retention.

`build` calls `read_policies` and `check_queue`.
"""

import re
from collections.abc import Collection
from datetime import timedelta
from typing import Any, TypedDict

from controller.manifests.notify_fields import read_length, read_secret
from controller.manifests.validation_context import ValidationContext
from controller.manifests.yaml.nodes import Path
from controller.model.policies import (
    DEFAULT_QUEUE,
    Catchup,
    CatchupPolicy,
    Overlap,
    Prune,
    Resources,
    Retention,
    Retries,
    RetryOn,
    Secret,
)
from controller.text import did_you_mean, shorten

_SIZE = re.compile(r"(\d{1,18}(?:\.\d{1,6})?)\s*(B|[KMGT]iB|[kKMGT]B)?", re.ASCII)
_LOOSE_SIZE = re.compile(r"(\d{1,18}(?:\.\d{1,6})?)\s*([kmgt])(i?b?|bytes)", re.ASCII | re.IGNORECASE)
_UNITS = {"": 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_UNITS |= {"kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_MIN_SIZE, _MAX_SIZE = 2**20, 2**46


class Policies(TypedDict):
    """The fields of a Deployment that this module reads."""

    overlap: Overlap
    overlap_limit: int
    catchup: Catchup
    start_deadline: timedelta | None
    retries: Retries
    secrets: dict[str, Secret]
    resources: Resources
    queue: str
    priority: int
    prune: Prune
    retention: Retention
    renamed_from: str | None
    executor: str | None
    on_silence: timedelta | None


def read_policies(context: ValidationContext) -> Policies:
    """Return the policies of the document. Invalid values are replaced by their defaults."""
    overlap, overlap_limit = _overlap(context)
    return Policies(
        overlap=overlap,
        overlap_limit=overlap_limit,
        catchup=_catchup(context, context.valid_fields("catchup")),
        start_deadline=read_length(context, ("start_deadline",), context.get("start_deadline")),
        retries=_retries(context, context.valid_fields("retries")),
        secrets={name: read_secret(source) for name, source in (context.get("secrets") or {}).items()},
        resources=_resources(context, context.valid_fields("resources")),
        queue=context.get("queue") or DEFAULT_QUEUE,
        priority=int(context.get("priority") or 0),
        prune=Prune(context.get("prune") or Prune.ENABLED),
        retention=_retention(context.valid_fields("retention")),
        renamed_from=context.get("renamed_from"),
        executor=context.get("executor"),
        on_silence=_on_silence(context),
    )


def check_queue(context: ValidationContext, queues: Collection[str]) -> None:
    """Add a problem if the document names a queue that is not among `queues`."""
    name = context.get("queue")
    if name is not None and name not in queues:
        hint = did_you_mean(name, queues) or "declare it under queues in controller.yaml"
        context.add("UnknownQueue", f"queue {shorten(name)} is not declared", ("queue",), hint=hint)


def _overlap(context: ValidationContext) -> tuple[Overlap, int]:
    """Return the policy, and how many runs may be in progress at the same time."""
    if isinstance(short := context.get("overlap"), str):
        return Overlap(short), 1
    fields = context.valid_fields("overlap")
    policy, limit = Overlap(fields.get("policy", Overlap.SKIP)), fields.get("limit")
    if policy is Overlap.ALLOW and limit is not None:
        hint = f"remove limit, or write policy: queue to run at most {int(limit)} at the same time"
        context.add("ConflictingKeys", "policy: allow has no limit", ("overlap", "limit"), hint=hint, at_key=True)
    return policy, int(limit or 1)


def _catchup(context: ValidationContext, fields: dict[str, Any]) -> Catchup:
    default = Catchup()
    return Catchup(
        policy=CatchupPolicy(fields.get("policy", default.policy)),
        window=read_length(context, ("catchup", "window"), fields.get("window")) or default.window,
        max=int(fields.get("max", default.max)),
    )


def _retries(context: ValidationContext, fields: dict[str, Any]) -> Retries:
    default = Retries()
    delay = read_length(context, ("retries", "delay"), fields.get("delay")) or default.delay
    max_delay = read_length(context, ("retries", "max_delay"), fields.get("max_delay")) or max(default.max_delay, delay)
    if max_delay < delay:
        context.add("InvalidValue", "max_delay must not be shorter than delay", ("retries", "max_delay"))
    return Retries(
        limit=int(fields.get("limit", default.limit)),
        delay=delay,
        backoff=float(fields.get("backoff", default.backoff)),
        max_delay=max_delay,
        jitter=float(fields.get("jitter", default.jitter)),
        on=tuple(dict.fromkeys(RetryOn(word) for word in fields.get("on", default.on))),
    )


def _resources(context: ValidationContext, fields: dict[str, Any]) -> Resources:
    processes, memory, gpus = fields.get("processes"), fields.get("memory"), fields.get("gpus")
    if gpus is not None and gpus > 1 and gpus != int(gpus):
        context.add("InvalidValue", "gpus must be a whole number, or less than 1", ("resources", "gpus"))
    return Resources(
        memory=None if memory is None else _bytes(context, ("resources", "memory"), memory),
        cpu_seconds=fields.get("cpu_seconds"),
        processes=None if processes is None else int(processes),
        cpus=fields.get("cpus"),
        gpus=gpus,
        custom=fields.get("custom") or {},
    )


def _on_silence(context: ValidationContext) -> timedelta | None:
    """Return after how long without the controller a run is stopped; None: never."""
    return read_length(context, ("on_silence", "stop"), context.valid_fields("on_silence").get("stop"))


def _retention(fields: dict[str, Any]) -> Retention:
    runs = fields.get("runs")
    return Retention(runs=None if runs is None else int(runs), days=fields.get("days"))


def _bytes(context: ValidationContext, path: Path, value: str | float) -> int | None:
    """Return the size at `path` in bytes, or add a problem and return None."""
    match = _SIZE.fullmatch(str(value).strip())
    size = round(float(match[1]) * _UNITS[match[2] or ""]) if match else 0
    if _MIN_SIZE <= size <= _MAX_SIZE:
        return size
    message = f"{shorten(str(value))} is not a size between 1MiB and 64TiB"
    context.add("InvalidSize", message, path, hint=_size_hint(str(value)))
    return None


def _size_hint(text: str) -> str:
    """Return the hint for a size; for one with a unit as in Kubernetes or in lower case, the same one with ours."""
    match = _LOOSE_SIZE.fullmatch(text.strip())
    if match is not None:
        unit = f"{match[2].upper()}{'iB' if match[3].lower().startswith('i') else 'B'}"
        if unit in _UNITS and _MIN_SIZE <= float(match[1]) * _UNITS[unit] <= _MAX_SIZE:
            return f"write {match[1]}{unit}"
    return "write a number of bytes, or a size such as 512MiB, 1GiB or 2GB"
