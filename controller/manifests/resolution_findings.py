"""Makes the findings about requirements that the package index cannot resolve, at the place that declares them.

`controller validate --resolve` calls it, after the documents were found to be valid otherwise.
"""

from collections.abc import Callable
from datetime import datetime

from controller.manifests.field_locations import declared_place
from controller.manifests.yaml.nodes import Path, Position, Problem
from controller.model.deployments import Deployment
from controller.model.findings import Finding, Severity

_PATHS: tuple[Path, ...] = (("python", "requirements"), ("flow",), ("flow_location",), ("python", "version"))
"""Where requirements can be declared: here, or as the metadata of a script. Only a version needs no requirements."""


def unresolvable(deployment: Deployment, message: str, hint: str | None, place: tuple[Position, Path]) -> Finding:
    """Return the error for requirements that no set of versions satisfies."""
    problem = Problem(code="RequirementsUnresolvable", message=message, hint=hint, place=place[0], path=place[1])
    return problem.finding(deployment.file, deployment.name)


def not_resolved(deployment: Deployment, message: str, hint: str | None, place: tuple[Position, Path]) -> Finding:
    """Return the warning for requirements that could not be checked, for example because the index is down."""
    problem = Problem(
        code="RequirementsNotChecked",
        message=message,
        hint=hint,
        place=place[0],
        path=place[1],
        severity=Severity.WARNING,
    )
    return problem.finding(deployment.file, deployment.name)


def python_place(
    deployment: Deployment, read: Callable[[str], bytes | None], environment: str | None, now: datetime
) -> tuple[Position, Path]:
    """Return where the deployment declares its requirements, as a position and a path in its document.

    `read` returns the content of a manifest by its path. Rendered documents have only a line.
    """
    return declared_place(deployment, _PATHS, read, environment, now)
