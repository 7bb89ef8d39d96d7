"""Reads `controller.yaml` at the root of the repository: queues, calendars, defaults, and defaults per environment.

`reader` calls `read_project` for every new version of the file; `overlays` merges the defaults under the documents. If
the project has an error, it is broken, and nothing in the repository is applied.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import field, replace
from datetime import datetime
from typing import Any

from controller.manifests.build import check_parts
from controller.manifests.calendar_fields import CALENDARS, read_calendars, with_calendars
from controller.manifests.calendar_files import CalendarFiles, insert_dates, read_calendar_files
from controller.manifests.merge import relocate, union, without_keys
from controller.manifests.schema_validation import PROJECT, check_shape
from controller.manifests.short_forms import ignored_keys, merge_overlay, shorten_overlap, with_long_forms
from controller.manifests.validation_context import ValidationContext
from controller.manifests.yaml.loader import load
from controller.manifests.yaml.nodes import Node, Position, Problem
from controller.model.findings import Severity
from controller.model.policies import DEFAULT_QUEUE
from controller.model.snapshots import PROJECT_FILE, Code, ManifestFile, RefusedFile
from controller.records import dataclass
from controller.text import did_you_mean

ProblemKey = tuple[str, int, int, str, str]
_NOTHING = Node({}, Position(1, 1, PROJECT_FILE))


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """The project of a repository; empty if there is no project file.

    `limits` has the queues with a limit. `environments` has the declared environments with their effective defaults;
    `defaults` applies if no environment is chosen. `removable` has the keys of all defaults together: a document may
    set any of them to null, in every environment. `calendars` has the definitions of calendars by name.
    """

    queues: frozenset[str] = frozenset({DEFAULT_QUEUE})
    limits: Mapping[str, int] = field(default_factory=dict)
    defaults: Node | None = None
    environments: Mapping[str, Node | None] = field(default_factory=dict)
    removable: Node | None = None
    calendars: Mapping[str, Node] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    @property
    def is_broken(self) -> bool:
        """Whether the project has an error."""
        return any(problem.severity is Severity.ERROR for problem in self.problems)

    def defaults_in(self, environment: str | None) -> Node | None:
        """Return the defaults that are merged under every document in this environment."""
        return self.defaults if environment is None else self.environments.get(environment, self.defaults)


def read_project(
    file: ManifestFile | RefusedFile | None,
    now: datetime,
    calendar_files: CalendarFiles | None = None,
    name: str | None = None,
) -> Project:
    """Return the project that this file declares, with the problems of the file.

    Without `calendar_files`, calendars that are files have no dates, and no schedule can use them. A file that declares
    another project than `name` has an error; None: it may declare any.
    """
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
        message = f"{PROJECT_FILE} must be a single mapping"
        return Project(problems=(Problem(code="NotAMapping", message=message, place=place),))
    root = without_keys(root, *ignored_keys(root))
    problems = [*loaded.documents[0].problems, *check_shape(root, PROJECT), *_other_project(root, name)]
    if calendar_files is not None and not problems:
        root, invalid = insert_dates(root, calendar_files)
        problems += invalid
    return _project(root, problems, now)


def project_document(file: ManifestFile | RefusedFile | None) -> Mapping[str, Any] | None:
    """Return the file as plain data: empty if there is no file, None if it does not match the schema of a project."""
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
    if document.problems or not isinstance(document.root.value, dict) or check_shape(document.root, PROJECT):
        return None
    return {key: value for key, value in document.root.value.items() if key not in ignored_keys(document.root)}


def find_calendar_files(file: ManifestFile | RefusedFile | None, code: Code) -> CalendarFiles:
    """Return the calendar files that controller.yaml names, at the revision of `code`. Raises SourceError."""
    if not isinstance(file, ManifestFile) or CALENDARS.encode() not in file.content:
        return {}
    return read_calendar_files(project_document(file), code)


def problem_key(problem: Problem) -> ProblemKey:
    """Return a key that is equal for equal problems, even if they were found in different environments."""
    return (problem.code, *problem.place[:3], problem.message)


def unknown_environment(name: str, declared: Collection[str]) -> Problem:
    """Return the problem of an environment that is not declared."""
    message = f"environment {name} is declared neither in {PROJECT_FILE} nor in a deployment"
    alternatives = f"declared environments: {', '.join(sorted(declared))}" if declared else None
    hint = did_you_mean(name, declared) or alternatives
    return Problem(code="UnknownEnvironment", message=message, place=Position(1, 1, PROJECT_FILE), hint=hint)


def _other_project(root: Node, expected: str | None) -> Iterator[Problem]:
    """Yield a problem if the file declares another project than that of the state."""
    declared = root.child("project")
    if expected is None or declared is None or declared.value == expected:
        return
    message = f"the project is {declared.value}, but the controller runs the project {expected}"
    hint = f"start it with `--project {declared.value}`, or write `project: {expected}`"
    yield Problem(code="OtherProject", message=message, place=declared.place, path=("project",), hint=hint)


def _project(root: Node, problems: list[Problem], now: datetime) -> Project:
    declared = _mapping(root.value.get("queues"))
    queues = frozenset({DEFAULT_QUEUE, *declared})
    limits = {
        name: int(limit) for name, queue in declared.items() if isinstance(limit := _mapping(queue).get("limit"), int)
    }
    base = _part(root, "defaults")
    base = base and with_long_forms(base)
    removable = base
    environments: dict[str, Node | None] = {}
    for name in _mapping(root.value.get("environments")):
        patch = _part(root, "environments", name, "defaults")
        environments[name] = base if patch is None else merge_overlay(base or _NOTHING, patch)
        if patch is not None:
            removable = with_long_forms(patch) if removable is None else union(removable, with_long_forms(patch))
    calendars = _calendars(root, problems)
    for defaults in (base, *environments.values()):
        if defaults is not None:
            problems += check_defaults(shorten_overlap(defaults), queues, now, calendars)
    distinct = {problem_key(problem): problem for problem in reversed(problems)}
    problems = list(distinct.values())[::-1]
    return Project(
        queues=queues,
        limits=limits,
        defaults=base,
        environments=environments,
        removable=removable,
        calendars=calendars,
        problems=tuple(problems),
    )


def check_defaults(
    defaults: Node, queues: frozenset[str], now: datetime, calendars: Mapping[str, Node]
) -> Iterator[Problem]:
    """Yield the problems of a partial deployment on its own. Its schedules can use these `calendars`."""
    whole = Node({"defaults": defaults.value}, defaults.place, fields={"defaults": defaults})
    shape = [replace(problem, path=problem.path[1:]) for problem in check_shape(whole, PROJECT)]
    yield from check_parts(with_calendars(defaults, calendars), shape, queues, now)


def _calendars(root: Node, problems: list[Problem]) -> Mapping[str, Node]:
    """Return the definitions of the calendars, and add their problems."""
    context = ValidationContext(root, tuple(problems))
    read_calendars(context)
    problems += context.problems[len(problems) :]
    calendars = root.fields.get(CALENDARS)
    return {} if calendars is None or not isinstance(calendars.value, dict) else calendars.fields


def _part(root: Node, *path: str) -> Node | None:
    """Return the mapping at `path`, with the positions for its findings; None if there is none."""
    node: Node | None = root
    for step in path:
        node = node and node.child(step)
    if node is None or not isinstance(node.value, dict):
        return None
    return relocate(node, file=PROJECT_FILE, within=path)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
