"""Determines the project of a repository, whose state it is: the option --project, or `project` of `controller.yaml`.

In a database on a server, each project has a state of its own. A file has the state of one project.
"""

import re
from pathlib import Path

from controller.errors import UsageError
from controller.remotes import RemoteUrl

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_DECLARED = re.compile(rb"""^project:[ \t]+(["']?)([a-z0-9][-a-z0-9]*)\1[ \t]*(?:#.*)?\r?$""", re.MULTILINE)
_MOST_BYTES = 1 << 20


def chosen_project(name: str | None, repo: Path | RemoteUrl) -> str | None:
    """Return the project: `name`, else the one that a local repository declares. None if neither names one.

    Raises UsageError if `name` can't be the name of a project.
    """
    if name is None:
        return None if isinstance(repo, RemoteUrl) else _declared_project(repo)
    return check_name(name)


def check_name(name: str) -> str:
    """Return the name, if it can be that of a project. Raises UsageError."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"--project {name}: this is not the name of a project.",
            hint="Use lower-case letters, digits and hyphens, at most 63 characters.",
        )
    return name


def _declared_project(root: Path) -> str | None:
    """Return the project in `controller.yaml` on disk, without parsing YAML: every command has to know it.

    A pass reads the file as a whole, and reports another project as an error.
    """
    file = root / "controller.yaml"
    try:
        if not file.is_file():  # opening a FIFO would block
            return None
        with file.open("rb") as stream:
            found = _DECLARED.search(stream.read(_MOST_BYTES))
    except OSError:
        return None
    name = None if found is None else found[2].decode()
    return name if name is not None and _NAME.fullmatch(name) else None
