"""Determines the project of a repository, whose state it is: the option --project, or `project` of `controller.yaml`.

In a database on a server, each project has a state of its own. A file has the state of one project.
"""

import re
from pathlib import Path

from controller.errors import UsageError
from controller.remotes import RemoteUrl

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_DECLARED = re.compile(rb"""^(["']?)project\1[ \t]*:(?=[ \t\r\n]|\Z)[ \t]*(.*)$""", re.MULTILINE)
_VALUE = re.compile(r"""(["']?)(.*?)\1[ \t]*(?:(?:^|[ \t])#.*)?\r?""")
_HINT = "Use lower-case letters, digits and hyphens, at most 63 characters."
_MOST_SHOWN = 100
_MOST_BYTES = 1 << 20


def chosen_project(name: str | None, repo: Path | RemoteUrl) -> str | None:
    """Return the project: `name`, else the one that a local repository declares. None if neither names one.

    Raises UsageError if it can't be the name of a project.
    """
    if name is None:
        return None if isinstance(repo, RemoteUrl) else _declared_project(repo)
    return check_name(name)


def check_name(name: str) -> str:
    """Return the name, if it can be that of a project. Raises UsageError."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"--project {name}: this is not the name of a project.",
            hint=_HINT,
        )
    return name


def _declared_project(root: Path) -> str | None:
    """Return the project in `controller.yaml` on disk, without parsing YAML: every command has to know it.

    A pass reads the file as a whole, and reports another project as an error. Raises UsageError for a value that can't
    be the name of a project: the state of another project would be used instead.
    """
    file = root / "controller.yaml"
    try:
        if not file.is_file():  # opening a FIFO would block
            return None
        with file.open("rb") as stream:
            content = stream.read(_MOST_BYTES)
    except OSError:
        return None
    found = _DECLARED.search(content)
    if found is None:
        return None
    value = _VALUE.fullmatch(found[2].decode(errors="replace"))
    name = "" if value is None else value[2]
    if _NAME.fullmatch(name):
        return name
    line = content.count(b"\n", 0, found.start()) + 1
    column = found.start(2) - found.start() + 1
    shown = ascii(name[:_MOST_SHOWN]) if name else "the value of `project`"
    raise UsageError(
        f"{file}:{line}:{column}: {shown} is not the name of a project.",
        hint=f"Write `project: NAME` in one line. {_HINT}",
    )
