"""Reads requirements files as far as a lock needs it, and removes what only the operator may decide. Pure.

Indexes and their credentials are the operator's: options that name an index are dropped. Variables are refused, since
uv would put the operator's into a URL. A file can include only files of its own revision.
"""

import posixpath
import re
from collections.abc import Iterator, Mapping

from packaging.requirements import InvalidRequirement, Requirement

from controller.python_environments.failures import PythonBuildError

_COMMENT = re.compile(r"(?:^|\s)#.*$")
_INCLUDE = re.compile(r"(-r|--requirement|-c|--constraint)(?:\s*=\s*|\s+|(?<=-[rc]))(.+)")
_EDITABLE = re.compile(r"(?:-e|--editable)\b")
_VARIABLE = re.compile(r"\$\{[A-Z0-9_]+\}")
_HASH = re.compile(r"\s--hash[= ]\s*(\S+)")


def logical_lines(text: str) -> Iterator[str]:
    """Yield the lines without comments and line continuations, each with single spaces."""
    for line in text.replace("\r\n", "\n").replace("\\\n", " ").splitlines():
        content = " ".join(_COMMENT.sub("", line).split())
        if content:
            yield content


def clean_files(files: Mapping[str, str]) -> dict[str, str]:
    """Return requirements files without the options that are the operator's. Raises PythonBuildError."""
    return {path: _clean(path, text, files) for path, text in files.items()}


def read_lock(files: Mapping[str, str], entry: str) -> str | None:
    """Return the lock that clean files are: one line per requirement; None unless all are pinned, with hashes."""
    lines: list[str] = []
    pending, visited = [entry], set()
    while pending:
        path = pending.pop()
        visited.add(path)
        for line in logical_lines(files[path]):
            include = _INCLUDE.fullmatch(line)
            if include is None:
                lines.append(line)
            elif include[1] in ("-r", "--requirement") and (target := _target(path, include[2])) not in visited:
                pending.append(target)
    return "".join(f"{line}\n" for line in sorted(set(lines))) if all(map(_is_pinned, lines)) else None


def _clean(path: str, text: str, files: Mapping[str, str]) -> str:
    lines = []
    for line in logical_lines(text):
        if _VARIABLE.search(line):
            raise _refused(path, line, "variables are not allowed in it")
        include = _INCLUDE.fullmatch(line)
        if include is not None and _target(path, include[2]) not in files:
            raise _refused(path, line, "that is not a file of the repository")
        if _EDITABLE.match(line) or line.startswith((".", "/", "~")):
            raise _refused(path, line, "folders can't be installed; use `import_paths` for the code of the repository")
        if include is not None or not line.startswith("-"):
            lines.append(line)
    return "".join(f"{line}\n" for line in lines)


def _target(path: str, included: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), included.strip("'\"")))


def _is_pinned(line: str) -> bool:
    hashes = _HASH.findall(line)
    try:
        requirement = Requirement(_HASH.sub("", line))
    except InvalidRequirement:
        return False
    exact = [one for one in requirement.specifier if one.operator in ("==", "===") and not one.version.endswith("*")]
    return bool(hashes) and (requirement.url is not None or len(exact) == len(requirement.specifier) == 1)


def _refused(path: str, line: str, why: str) -> PythonBuildError:
    return PythonBuildError("ResolveFailed", f"{path}: `{line}`: {why}.")
