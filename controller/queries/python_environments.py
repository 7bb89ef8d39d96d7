"""The Python environments with the deployments that use them, as all user interfaces show them."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from datetime import datetime

from controller.errors import NotFoundError
from controller.model.python_environments import PythonEnvironment, PythonState, PythonUse
from controller.records import dataclass
from controller.store import Transaction, inventory, python_uses
from controller.store import python_environments as table
from controller.store.name_lookup import is_recorded
from controller.text import closest

_PROBLEMS_FIRST = [PythonState.FAILED, PythonState.BUILDING, PythonState.WAITING, PythonState.READY]


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonEnvironmentRow:
    """One Python environment. `id` is its digest or, until its requirements are resolved, the digest of the request.

    `deployments` use it; the newest versions of those in `waiting` do as soon as it is ready. Both are sorted.
    `reason` is that of the condition PythonReady, `message` says more, and a failed build is tried again at `retry_at`.
    `packages` has the installed versions by name; `size` is in bytes. `requests` are the digests of the requests.
    """

    id: str
    digest: str | None
    state: PythonState
    reason: str
    message: str
    declared_at: tuple[str, ...]
    version: str | None
    packages: Mapping[str, str]
    size: int | None
    deployments: tuple[str, ...]
    waiting: tuple[str, ...]
    requests: tuple[str, ...]
    attempts: int
    built_at: datetime | None
    used_at: datetime | None
    retry_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonEnvironmentDetail(PythonEnvironmentRow):
    """All details of one Python environment. `executable` is its interpreter, `log` the end of its build's log."""

    executable: str | None
    lock: str | None
    log: str

    def has_prefix(self, text: str) -> bool:
        """Whether its digest, or that of one of its requests, begins with this text."""
        return any(digest.startswith(text) for digest in (self.id, *self.requests))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentPython:
    """The environment that a deployment uses, and the one that its newest version waits for."""

    active: PythonEnvironment | None = None
    waiting: PythonEnvironment | None = None


def python_environments(tx: Transaction) -> list[PythonEnvironmentRow]:
    """Return all Python environments: those with problems first, then by the place of their declaration."""
    names = [field.name for field in fields(PythonEnvironmentRow)]
    return [PythonEnvironmentRow(**{name: getattr(detail, name) for name in names}) for detail in _details(tx)]


def find_python_environments(tx: Transaction, name: str) -> list[PythonEnvironmentDetail]:
    """Return the environments of the deployment with this name, or the one whose id begins with it.

    The first one of a deployment is the one that it uses; its newest version waits for the second one, if there is one.
    Raises NotFoundError.
    """
    details = _details(tx)
    matches = [detail for detail in details if name in detail.deployments]
    matches += [detail for detail in details if name in detail.waiting and detail not in matches]
    if matches:
        return matches
    if name and is_recorded(tx, name):
        raise NotFoundError(
            f"Deployment {name} has no Python environment of its own.",
            hint="It runs with the Python of the controller. `python` in its document gives it another one.",
        )
    near = closest(name, inventory.entries(tx))
    hint = f"Did you mean {near[0]}?" if near else None
    return [_find_by_digest(details, name, "There is neither a deployment nor a Python environment", hint)]


def find_python_environment(tx: Transaction, digest: str) -> PythonEnvironmentDetail:
    """Return the environment whose digest, or that of one of its requests, begins so. Raises NotFoundError."""
    return _find_by_digest(_details(tx), digest, "There is no Python environment")


def _find_by_digest(
    details: Sequence[PythonEnvironmentDetail], digest: str, problem: str, hint: str | None = None
) -> PythonEnvironmentDetail:
    matches = [detail for detail in details if digest and detail.has_prefix(digest)]
    if len(matches) == 1:
        return matches[0]
    problem = "There is more than one Python environment whose digest begins with" if matches else problem
    raise NotFoundError(f"{problem} {digest!r}.", hint=hint or "See `controller python list`.")


def find_needed(tx: Transaction, declared: Collection[str] = ()) -> set[str]:
    """Return the requests that deployments name, and those in `declared`."""
    return {*declared, *(use.request for use in python_uses.find(tx))}


def find_unneeded(tx: Transaction, needed: Collection[str], now: datetime) -> list[PythonEnvironmentRow]:
    """Return the environments on disk that neither these requests nor unfinished runs need."""
    digests = {built.digest for built in table.find_unused(tx, needed, now)}
    return [row for row in python_environments(tx) if row.digest in digests]


def find_deployment_python(tx: Transaction, deployment: str) -> DeploymentPython:
    """Return the Python environments of a deployment. It has none if it runs with that of the controller."""
    uses = python_uses.find(tx, deployment)
    environments = table.find_all(tx, [use.request for use in uses])
    by_use = {use.is_active: environments.get(use.request) for use in uses}
    return DeploymentPython(active=by_use.get(True), waiting=by_use.get(False))


def _details(tx: Transaction) -> list[PythonEnvironmentDetail]:
    """Return all environments, with the requests that share one as one."""
    by_request: dict[str, list[PythonUse]] = defaultdict(list)
    for use in python_uses.find(tx):
        by_request[use.request].append(use)
    groups: dict[str, list[PythonEnvironment]] = defaultdict(list)
    for environment in (*table.find_all(tx).values(), *table.find_replaced(tx)):
        groups[environment.digest or environment.request].append(environment)
    details = [
        _detail(name, group, [use for environment in group for use in by_request[environment.request]])
        for name, group in groups.items()
    ]
    return sorted(details, key=lambda detail: (_PROBLEMS_FIRST.index(detail.state), detail.declared_at, detail.id))


def _detail(name: str, group: Sequence[PythonEnvironment], uses: Sequence[PythonUse]) -> PythonEnvironmentDetail:
    """Return one environment. Its state is that of the request with the worst problem."""
    worst = min(group, key=lambda environment: _PROBLEMS_FIRST.index(environment.state))
    return PythonEnvironmentDetail(
        id=name,
        digest=worst.digest,
        state=worst.state,
        reason=worst.reason,
        message=worst.message,
        declared_at=tuple(sorted({environment.declared_at for environment in group} - {""})),
        version=worst.version,
        packages=worst.packages,
        size=worst.bytes,
        deployments=tuple(sorted({use.deployment for use in uses if use.is_active})),
        waiting=tuple(sorted({use.deployment for use in uses if not use.is_active})),
        attempts=worst.attempts,
        built_at=worst.ready_at,
        used_at=worst.used_at,
        retry_at=worst.retry_at,
        requests=tuple(sorted({environment.request for environment in group} - {""})),
        executable=worst.executable,
        lock=worst.lock,
        log=worst.log,
    )
