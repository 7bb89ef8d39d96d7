"""A document while it is being checked: its nodes, and the problems found so far.

`build` makes one per document, `run_targets`, `field_rules` and `schedule_fields` add to it. It knows no rule of its
own.
"""

from typing import Any

from controller.errors import ScheduleError
from controller.manifests.yaml.nodes import Node, Path, Problem, shorten
from controller.model.findings import Severity


class ValidationContext:
    """Collects problems; the parts that already have one are left alone by later rules."""

    def __init__(self, root: Node, problems: tuple[Problem, ...]) -> None:
        self.root = root
        self.problems = list(problems)

    @property
    def value(self) -> dict[str, Any]:
        """The document, empty if it is no mapping."""
        value = self.root.value
        return value if isinstance(value, dict) else {}

    def get(self, key: str) -> Any:
        """The value of a top-level key; None if it is missing or has a problem."""
        return self.value.get(key) if self.clean((key,)) else None

    def sound(self, key: str) -> dict[str, Any]:
        """What of the mapping at a top-level key has no problem: a fault in one part hides none in another."""
        said = self.value.get(key)
        if not isinstance(said, dict) or not self.right((key,)):
            return {}
        return {name: value for name, value in said.items() if self.clean((key, name))}

    def clean(self, path: Path) -> bool:
        """Whether no error is at `path` or below."""
        if not self.problems:  # nearly always, and asked of every key
            return True
        return all(problem.path[: len(path)] != path or not problem.is_error for problem in self.problems)

    def right(self, path: Path) -> bool:
        """Whether no error is at `path` itself, whatever is below."""
        return all(problem.path != path or not problem.is_error for problem in self.problems)

    def add(
        self,
        code: str,
        message: str,
        path: Path,
        *,
        hint: str | None = None,
        at_key: bool = False,
        lacking: tuple[str, ...] = (),
        severity: Severity = Severity.ERROR,
    ) -> None:
        """Report the node at `path`, or its key, or where one of the keys `lacking` in it was taken away."""
        place = self.root.key_place(path) if at_key else self.root.lack_place(path, *lacking)
        self.problems.append(Problem(code=code, message=message, place=place, path=path, hint=hint, severity=severity))

    def add_error(self, code: str, error: ScheduleError, path: Path) -> None:
        """Report what the calendar says about the node at `path`."""
        self.add(code, shorten(error.message, 300), path, hint=error.hint and shorten(error.hint, 300))
