"""The policies of a document as values: overlap, catch-up, retries, secrets, limits, retention.

`build` calls `read_policies` for the values.
"""

import re
from collections.abc import Collection
from datetime import timedelta
from typing import Any, TypedDict

from controller.manifests.schedule_fields import read_duration
from controller.manifests.schema_messages import did_you_mean
from controller.manifests.validation_context import ValidationContext
from controller.manifests.yaml.nodes import Path, shorten
from controller.model.policies import (
    DEFAULT_QUEUE,
    Catchup,
    CatchupPolicy,
    EnvSecret,
    FileSecret,
    Overlap,
    Prune,
    Resources,
    Retention,
    Retries,
    RetryOn,
    Secret,
)

_SIZE = re.compile(r"(\d{1,18}(?:\.\d{1,6})?)\s*(B|[KMGT]iB|[kKMGT]B)?", re.ASCII)
_UNITS = {"": 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_UNITS |= {"kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_SMALLEST, _LARGEST = 2**20, 2**46


class Policies(TypedDict):
    """The fields of a Deployment that this module reads."""

    overlap: Overlap
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


def read_policies(draft: ValidationContext) -> Policies:
    """The policies of the document; what has a problem is left at its default."""
    return Policies(
        overlap=Overlap(draft.get("overlap") or Overlap.SKIP),
        catchup=_catchup(draft, draft.sound("catchup")),
        start_deadline=_length(draft, ("start_deadline",), draft.get("start_deadline")),
        retries=_retries(draft, draft.sound("retries")),
        secrets={name: _secret(said) for name, said in (draft.get("secrets") or {}).items()},
        resources=_resources(draft, draft.sound("resources")),
        queue=draft.get("queue") or DEFAULT_QUEUE,
        priority=int(draft.get("priority") or 0),
        prune=Prune(draft.get("prune") or Prune.ENABLED),
        retention=_retention(draft.sound("retention")),
        renamed_from=draft.get("renamed_from"),
    )


def check_queue(draft: ValidationContext, queues: Collection[str]) -> None:
    """Add what is wrong if the queue is none of these."""
    name = draft.get("queue")
    if name is not None and name not in queues:
        hint = did_you_mean(name, queues) or "declare it under queues in controller.yaml"
        draft.add("UnknownQueue", f"no queue {shorten(name)} is declared", ("queue",), hint=hint)


def _catchup(draft: ValidationContext, said: dict[str, Any]) -> Catchup:
    usual = Catchup()
    return Catchup(
        policy=CatchupPolicy(said.get("policy", usual.policy)),
        window=_length(draft, ("catchup", "window"), said.get("window")) or usual.window,
        max=int(said.get("max", usual.max)),
    )


def _retries(draft: ValidationContext, said: dict[str, Any]) -> Retries:
    usual = Retries()
    delay = _length(draft, ("retries", "delay"), said.get("delay")) or usual.delay
    longest = _length(draft, ("retries", "max_delay"), said.get("max_delay")) or max(usual.max_delay, delay)
    if longest < delay:
        draft.add("InvalidValue", "max_delay is shorter than delay", ("retries", "max_delay"))
    return Retries(
        limit=int(said.get("limit", usual.limit)),
        delay=delay,
        backoff=float(said.get("backoff", usual.backoff)),
        max_delay=longest,
        jitter=float(said.get("jitter", usual.jitter)),
        on=tuple(dict.fromkeys(RetryOn(word) for word in said.get("on", usual.on))),
    )


def _secret(said: dict[str, str]) -> Secret:
    return EnvSecret(env=said["env"]) if "env" in said else FileSecret(file=said["file"])


def _resources(draft: ValidationContext, said: dict[str, Any]) -> Resources:
    processes, memory = said.get("processes"), said.get("memory")
    return Resources(
        memory=None if memory is None else _bytes(draft, ("resources", "memory"), memory),
        cpu_seconds=said.get("cpu_seconds"),
        processes=None if processes is None else int(processes),
    )


def _retention(said: dict[str, Any]) -> Retention:
    runs = said.get("runs")
    return Retention(runs=None if runs is None else int(runs), days=said.get("days"))


def _length(draft: ValidationContext, path: Path, said: Any) -> timedelta | None:
    return None if said is None else read_duration(draft, path, said)


def _bytes(draft: ValidationContext, path: Path, said: str | float) -> int | None:
    """The size at `path` in bytes; None after a problem."""
    found = _SIZE.fullmatch(str(said).strip())
    size = round(float(found[1]) * _UNITS[found[2] or ""]) if found else 0
    if _SMALLEST <= size <= _LARGEST:
        return size
    message = f"{shorten(str(said))} is no size between 1MiB and 64TiB"
    draft.add("InvalidSize", message, path, hint="write bytes as a number, or 512MiB, 1GiB, 2GB")
    return None
