"""Makes the request for the Python environment of a deployment: its declaration, and the texts of the files it names.

`python_settings` calls `make_request` with the files of the revision that a pass reads. `read_request` makes the same
request from the files that are about to run. So a revision always asks for the same environment.
"""

from collections.abc import Callable

from controller.manifests.project_locks import read_project_files
from controller.manifests.requirements_files import Requirements, RequirementsError, check_list, read_requirements
from controller.manifests.script_metadata import ScriptMetadata, read_script_metadata
from controller.model.deployments import Deployment, FlowTarget, Target
from controller.model.python_environments import MAX_FILE_BYTES, PythonRequest, PythonSettings, RequirementsSource

LIST_FILE = "requirements.txt"
"""The name of the only file of a request whose requirements are a list."""

Read = Callable[[str], bytes | None]


def check_size(path: str, size: int) -> None:
    """Refuse a file that is too large to declare a Python environment. Raises RequirementsError."""
    if size > MAX_FILE_BYTES:
        message = f"the file has {size:,} bytes; the limit is {MAX_FILE_BYTES:,}"
        raise RequirementsError("InvalidRequirement", message, path)


def read_request(deployment: Deployment, read: Read) -> PythonRequest | None:
    """Return what the deployment asks for; None if it runs with the Python environment of the controller.

    `read` returns the bytes of a file, by its path relative to the root of the repository, or None if there is none. It
    calls `check_size`. Raises RequirementsError.
    """
    request = make_request(deployment.target, deployment.python, deployment.file, read)
    return None if request is None else request[0]


def make_request(
    target: Target, settings: PythonSettings | None, file: str, read: Read
) -> tuple[PythonRequest, Requirements] | None:
    """Return the request and the requirements behind it, as far as these are not locked. Raises RequirementsError.

    `file` is the file of the deployment.
    """
    settings = settings or PythonSettings()
    if settings.interpreter is not None:
        source = RequirementsSource.INTERPRETER
        return PythonRequest(source=source, declared_at=file, interpreter=settings.interpreter), Requirements()
    if settings.project is not None:
        return _of_project(settings, settings.project, read), Requirements()
    if isinstance(settings.requirements, str):
        requirements = read_requirements(settings.requirements, read)
        request = PythonRequest(
            source=RequirementsSource.FILE,
            declared_at=settings.requirements,
            files=requirements.files,
            entry=settings.requirements,
            version=settings.version,
        )
        return request, requirements
    if settings.requirements is not None:
        requirements = check_list(settings.requirements, file)
        return _of_list(RequirementsSource.LIST, file, requirements, settings.version), requirements
    script = _script_metadata(target, read)
    if script is not None:
        metadata, path = script
        requirements = check_list(metadata.dependencies, path)
        version = settings.version or metadata.requires_python
        return _of_list(RequirementsSource.SCRIPT, path, requirements, version), requirements
    if settings.version is not None:
        return _of_list(RequirementsSource.LIST, file, Requirements(), settings.version), Requirements()
    return None


def _of_list(source: RequirementsSource, file: str, requirements: Requirements, version: str | None) -> PythonRequest:
    """Return a request whose files do not depend on the order of the list."""
    text = "".join(f"{line}\n" for line in sorted({item.text for item in requirements.requirements}))
    return PythonRequest(source=source, declared_at=file, files={LIST_FILE: text}, entry=LIST_FILE, version=version)


def _of_project(settings: PythonSettings, folder: str, read: Read) -> PythonRequest:
    project = read_project_files(folder, settings.groups, settings.extras, read)
    return PythonRequest(
        source=RequirementsSource.PROJECT,
        declared_at=project.lock,
        files=project.files,
        entry=f"{folder}/pyproject.toml" if folder else "pyproject.toml",
        groups=tuple(sorted(settings.groups)),
        extras=tuple(sorted(settings.extras)),
        version=settings.version or project.requires_python,
    )


def _script_metadata(target: Target, read: Read) -> tuple[ScriptMetadata, str] | None:
    if not isinstance(target, FlowTarget) or not target.path:
        return None
    try:
        content = read(target.path)
    except RequirementsError:  # a flow may be larger; then its file declares nothing
        return None
    metadata = read_script_metadata(content or b"", target.path)
    return None if metadata is None else (metadata, target.path)


__all__ = ["RequirementsError", "check_size", "make_request", "read_request"]
