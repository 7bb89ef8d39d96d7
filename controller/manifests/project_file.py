"""What `controller.yaml` at the root of the repository says: queues, and defaults, also by environment.

`reader` calls `read_project` for every new version of the file; `overlays` puts the defaults under the documents. A
project with an error is broken: nothing of the repository is applied then.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from controller.manifests.build import check_parts
from controller.manifests.merge import overlay, relocate, united
from controller.manifests.schema_messages import did_you_mean
from controller.manifests.schema_validation import PROJECT, check_shape
from controller.manifests.yaml.loader import load
from controller.manifests.yaml.nodes import Node, Position, Problem
from controller.model.findings import Severity
from controller.model.policies import DEFAULT_QUEUE
from controller.model.snapshots import PROJECT_FILE, ManifestFile, RefusedFile

Mark = tuple[str, int, int, str, str]
_NOTHING = Node({}, Position(1, 1, PROJECT_FILE))


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """The project of a repository; without the file, one that says nothing.

    `limits` are those of the queues that have one. `environments` are the declared ones, each with the defaults that
    hold in it; `defaults` hold where none is chosen. `removable` has every key that any defaults have: a document may
    say null for it in every environment.
    """

    queues: frozenset[str] = frozenset({DEFAULT_QUEUE})
    limits: Mapping[str, int] = field(default_factory=dict)
    defaults: Node | None = None
    environments: Mapping[str, Node | None] = field(default_factory=dict)
    removable: Node | None = None
    problems: tuple[Problem, ...] = ()

    @property
    def is_broken(self) -> bool:
        """Whether there is an error in it."""
        return any(problem.severity is Severity.ERROR for problem in self.problems)

    def defaults_in(self, environment: str | None) -> Node | None:
        """What stands under every document in this environment."""
        return self.defaults if environment is None else self.environments.get(environment, self.defaults)


def read_project(file: ManifestFile | RefusedFile | None, now: datetime) -> Project:
    """The project of this file; its problems are those of the file alone."""
    if file is None:
        return Project()
    if isinstance(file, RefusedFile):
        return Project(
            problems=(Problem(code="RefusedFile", message=file.message, place=Position(1, 1, PROJECT_FILE)),)
        )
    loaded = load(file.content)
    if loaded.problems or not loaded.documents:
        return Project(problems=loaded.problems)
    root = relocate(loaded.documents[0].root, file=PROJECT_FILE)
    if len(loaded.documents) > 1 or not isinstance(root.value, dict):
        place = loaded.documents[-1].root.place
        message = f"{PROJECT_FILE} holds one mapping"
        return Project(problems=(Problem(code="NotAMapping", message=message, place=place),))
    problems = [*loaded.documents[0].problems, *check_shape(root, PROJECT)]
    return _project(root, problems, now)


def project_document(file: ManifestFile | RefusedFile | None) -> Mapping[str, Any] | None:
    """What the file says, as plain data; empty without a file, None where it has not the shape of a project."""
    if file is None:
        return {}
    if isinstance(file, RefusedFile):
        return None
    loaded = load(file.content)
    if loaded.problems or len(loaded.documents) > 1:
        return None
    if not loaded.documents:
        return {}
    [document] = loaded.documents
    is_wrong = document.problems or not isinstance(document.root.value, dict)
    return None if is_wrong or any(True for _ in check_shape(document.root, PROJECT)) else document.root.value


def mark(problem: Problem) -> Mark:
    """The same for the same fault, from whichever side it is found."""
    return (problem.code, *problem.place[:3], problem.message)


def unknown_environment(name: str, known: Collection[str]) -> Problem:
    """The problem of an environment that nothing declares."""
    message = f"no environment {name} is declared, in {PROJECT_FILE} or in a deployment"
    hint = did_you_mean(name, known) or (f"known environments: {', '.join(sorted(known))}" if known else None)
    return Problem(code="UnknownEnvironment", message=message, place=Position(1, 1, PROJECT_FILE), hint=hint)


def _project(root: Node, problems: list[Problem], now: datetime) -> Project:
    said = _mapping(root.value.get("queues"))
    queues = frozenset({DEFAULT_QUEUE, *said})
    limits = {
        name: int(limit) for name, queue in said.items() if isinstance(limit := _mapping(queue).get("limit"), int)
    }
    own = _part(root, "defaults")
    removable = own
    environments: dict[str, Node | None] = {}
    for name in _mapping(root.value.get("environments")):
        patch = _part(root, "environments", name, "defaults")
        environments[name] = own if patch is None else overlay(own or _NOTHING, patch)
        removable = patch if removable is None else removable if patch is None else united(removable, patch)
    for defaults in (own, *environments.values()):
        if defaults is not None:
            problems += check_defaults(defaults, queues, now)
    once = {mark(problem): problem for problem in reversed(problems)}
    problems = list(once.values())[::-1]
    return Project(
        queues=queues,
        limits=limits,
        defaults=own,
        environments=environments,
        removable=removable,
        problems=tuple(problems),
    )


def check_defaults(defaults: Node, queues: frozenset[str], now: datetime) -> Iterator[Problem]:
    """What is wrong with a partial deployment, taken alone."""
    whole = Node({"defaults": defaults.value}, defaults.place, fields={"defaults": defaults})
    shape = [replace(problem, path=problem.path[1:]) for problem in check_shape(whole, PROJECT)]
    yield from check_parts(defaults, shape, queues, now)


def _part(root: Node, *path: str) -> Node | None:
    """The mapping at `path`, with the places that findings in it have; None if there is none."""
    node: Node | None = root
    for step in path:
        node = node and node.child(step)
    if node is None or not isinstance(node.value, dict):
        return None
    return relocate(node, file=PROJECT_FILE, within=path)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
