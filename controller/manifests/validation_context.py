"""The state of one document's validation: its nodes, and the problems found so far.

`build` creates one per document; `run_targets`, `field_rules`, `schedule_fields` and others add problems to it. It has
no rules of its own.
"""

from typing import Any

from controller.errors import ScheduleError
from controller.manifests.parameter_references import may_refer, parameter_places
from controller.manifests.yaml.nodes import Node, Path, Problem
from controller.model.findings import Severity
from controller.text import shorten


class ValidationContext:
    """Collects the problems of one document. Later rules skip the parts that already have one."""

    def __init__(self, root: Node, problems: tuple[Problem, ...]) -> None:
        self.root = root
        self.problems = list(problems)
        self.value: dict[str, Any] = root.value if isinstance(root.value, dict) else {}
        """The document; empty if it is not a mapping."""
        self.parameters = list(parameter_places(self.value))
        """The parameters of the document and of its schedules, with the path of the mapping that contains them."""
        self.referring = [(place, parameters) for place, parameters in self.parameters if may_refer(parameters)]
        """Those that can contain references."""

    def get(self, key: str) -> Any:
        """Return the value of a top-level key; None if it is missing or invalid."""
        return self.value.get(key) if not self.problems or self.is_clean((key,)) else None

    def valid_fields(self, key: str) -> dict[str, Any]:
        """Return the valid entries of the mapping at a top-level key, so that one fault does not hide others."""
        mapping = self.value.get(key)
        if not isinstance(mapping, dict) or not self.is_valid_at((key,)):
            return {}
        return {name: value for name, value in mapping.items() if self.is_clean((key, name))}

    def is_clean(self, path: Path) -> bool:
        """Return whether there is no error at `path` or below it."""
        if not self.problems:  # the usual case, on a hot path
            return True
        return all(problem.path[: len(path)] != path or not problem.is_error for problem in self.problems)

    def is_valid_at(self, path: Path) -> bool:
        """Return whether there is no error at `path` itself, regardless of what is below it."""
        return all(problem.path != path or not problem.is_error for problem in self.problems)

    def add(
        self,
        code: str,
        message: str,
        path: Path,
        *,
        hint: str | None = None,
        at_key: bool = False,
        missing: tuple[str, ...] = (),
        severity: Severity = Severity.ERROR,
    ) -> None:
        """Report a problem at `path`.

        Its position is that of the node; with `at_key`, that of its key; with `missing`, the place where an overlay or
        the document removed one of these keys, if one did.
        """
        place = self.root.key_place(path) if at_key else self.root.removal_place(path, *missing)
        self.problems.append(Problem(code=code, message=message, place=place, path=path, hint=hint, severity=severity))

    def add_error(self, code: str, error: ScheduleError, path: Path) -> None:
        """Report an error of the `schedules` package at `path`."""
        self.add(code, shorten(error.message, 300), path, hint=error.hint and shorten(error.hint, 300))
