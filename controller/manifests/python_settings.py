"""Reads `python` and `import_paths` of a document, and checks them against the files of the repository.

`build` calls it. It asks `python_requests` what the files declare.
"""

from typing import TYPE_CHECKING

from controller.manifests.run_targets import path_inside
from controller.manifests.validation_context import ValidationContext
from controller.manifests.yaml.nodes import Path
from controller.model.deployments import FlowTarget, Target
from controller.model.findings import Severity
from controller.model.python_environments import PythonRequest, PythonSettings
from controller.text import join_or, shorten

if TYPE_CHECKING:
    from controller.manifests.flow_references import Flows
    from controller.manifests.requirements_files import Requirements, RequirementsError

_CHOICES = ("requirements", "project", "interpreter")
_MAX_NAMES = 3


def read_python(context: ValidationContext) -> PythonSettings | None:
    """Return the declared Python environment; None if there is none, or after a problem."""
    declared = context.get("python")
    if declared is None:
        return None
    for extra in [key for key in _CHOICES if key in declared][1:]:
        message = f"{extra} conflicts with another key: use only one of {join_or(_CHOICES)}"
        hint = "remove one of them; to drop one that controller.yaml sets, write it here with the value null"
        context.add("ConflictingKeys", message, ("python", extra), hint=hint, at_key=True)
    requirements, project = declared.get("requirements"), declared.get("project")
    if isinstance(requirements, str):
        requirements = path_inside(context, ("python", "requirements"), requirements, "")
    if project is not None:
        project = path_inside(context, ("python", "project"), project, "")
    if declared.get("interpreter") is not None and declared.get("version") is not None:
        message = "version conflicts with interpreter, which has a version already"
        context.add("ConflictingKeys", message, ("python", "version"), hint="remove it", at_key=True)
    if not context.is_clean(("python",)):
        return None
    return PythonSettings(
        requirements=tuple(requirements) if isinstance(requirements, list) else requirements,
        project="" if project == "." else project,
        groups=tuple(dict.fromkeys(declared.get("groups", ()))),
        extras=tuple(dict.fromkeys(declared.get("extras", ()))),
        interpreter=declared.get("interpreter"),
        version=declared.get("version"),
        preload=tuple(dict.fromkeys(declared.get("preload", ()))),
    )


def read_import_paths(context: ValidationContext) -> tuple[str, ...]:
    """Return the import paths, relative to the repository root; an empty string is the root itself."""
    paths = [
        path_inside(context, ("import_paths", i), path, "") for i, path in enumerate(context.get("import_paths") or ())
    ]
    return tuple(dict.fromkeys("" if path == "." else path for path in paths if path is not None))


def check_import_paths(context: ValidationContext, paths: tuple[str, ...], flows: "Flows") -> None:
    """Add a problem for each import path that is not a folder of the repository."""
    for index, path in enumerate(paths):
        if path and flows.is_whole and not flows.has_directory(path):
            message = f"directory {shorten(path, 200)} does not exist"
            hint = "commit a file in it, or correct the path, which is relative to the repository root"
            context.add("ImportPathMissing", message, ("import_paths", index), hint=hint)


def check_python(
    context: ValidationContext, target: Target, settings: PythonSettings | None, file: str, flows: "Flows"
) -> PythonRequest | None:
    """Return the request for the Python environment, or add what is wrong with the files that declare it.

    Returns None also for the Python environment of the controller.
    """
    is_script = isinstance(target, FlowTarget) and flows.is_script(target.path)
    if not flows.is_whole or not (settings or is_script) or not context.is_clean(("python",)):
        return None
    # Imported here because most deployments have no Python environment of their own.
    from controller.manifests.python_requests import RequirementsError, make_request

    try:
        request = make_request(target, settings, file, flows.read)
    except RequirementsError as error:
        path, message = _place(error, settings)
        context.add(error.code, message, path, hint=error.hint)
        return None
    if request is None:
        return None
    _warn_about_unpinned(context, request[1], settings)
    return request[0]


def _place(error: "RequirementsError", settings: PythonSettings | None) -> tuple[Path, str]:
    """Return where in the document the error belongs, and its message with the place in the other file, if any."""
    if settings is None or (settings.requirements is None and settings.project is None):
        return ("flow",), f"{error.path}:{error.line}: {error.message}"
    if isinstance(settings.requirements, tuple):
        return ("python", "requirements", error.line - 1), error.message
    key = "project" if settings.requirements is None else "requirements"
    is_missing = error.code == "PythonFileMissing" and error.line == 0
    return ("python", key), error.message if is_missing else f"{error.path}:{error.line}: {error.message}"


def _warn_about_unpinned(
    context: ValidationContext, requirements: "Requirements", settings: PythonSettings | None
) -> None:
    unpinned = requirements.unpinned
    if not unpinned:
        return
    names = ", ".join(shorten(item.text) for item in unpinned[:_MAX_NAMES])
    more = f" and {len(unpinned) - _MAX_NAMES} more" if len(unpinned) > _MAX_NAMES else ""
    message = f"{names}{more}: the version is chosen once, when the controller first builds the environment"
    hint = "pin each version (name==1.2.3), or commit a file with hashes: uv pip compile --generate-hashes"
    is_script = settings is None or settings.requirements is None
    path: Path = ("flow",) if is_script else ("python", "requirements")
    context.add("UnpinnedRequirements", message, path, hint=hint, severity=Severity.WARNING)
