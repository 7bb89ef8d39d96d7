"""Reads requirements files as far as a lock needs it, and removes what only the operator may decide. Pure.

Indexes and their credentials are the operator's: options that name an index are dropped. Variables are refused, since
uv would put the operator's into a URL. A file can include only files of its own revision. Packages come from an index,
or from an https URL: never from a folder, from version control, or over a connection that is not encrypted.
"""

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import urlsplit

from packaging.requirements import InvalidRequirement, Requirement

from controller.manifests.requirements_files import logical_lines
from controller.python_environments.failures import PythonBuildError
from controller.python_environments.redaction import hide_user_information

_INCLUDE = re.compile(r"(-r|--requirement|-c|--constraint)(?:\s*=\s*|\s+|(?<=-[rc]))(.+)")
_FOLDER = re.compile(r"(?:-e|--editable)\b|[./~]")
_ARCHIVE = re.compile(r".*\.(?:whl|zip|tar|tgz|tbz|txz|tlz|gz|bz2|xz|zst|lzma)", re.IGNORECASE)
_VARIABLE = re.compile(r"\$\{[A-Z0-9_]+\}")
_HASH = re.compile(r"\s--hash[= ]\s*\S+")
_STRONG = r"(?:sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})(?:\s|$)"
_STRONG_HASH = re.compile(rf"\s--hash[= ]\s*{_STRONG}", re.IGNORECASE)
_WEAK_HASH = re.compile(rf"\s--hash[= ]\s*(?!\s|{_STRONG})\S+", re.IGNORECASE)


def clean_files(files: Mapping[str, str]) -> dict[str, str]:
    """Return requirements files without the options that are the operator's. Raises PythonBuildError."""
    return {path: _text(_clean(path, text, files)) for path, text in files.items()}


def join_files(files: Mapping[str, str], entry: str) -> tuple[str, str]:
    """Return the requirements in clean files, and the constraints, as two texts that include no other file."""
    requirements: set[str] = set()
    constraints: set[str] = set()
    pending, visited = [(entry, False)], set()
    while pending:
        path, is_constraint = pending.pop()
        if (path, is_constraint) in visited:
            continue
        visited.add((path, is_constraint))
        for line in _lines(files[path]):
            include = _INCLUDE.fullmatch(line)
            if include is None:
                (constraints if is_constraint else requirements).add(line)
            else:
                pending.append((_target(path, include[2]), is_constraint or include[1] in ("-c", "--constraint")))
    return _text(sorted(requirements)), _text(sorted(constraints))


def read_lock(files: Mapping[str, str], entry: str) -> str | None:
    """Return the lock that clean files are: one line per requirement; None unless all are pinned, with hashes."""
    lock, _ = join_files(files, entry)
    return lock if all(map(_is_pinned, lock.splitlines())) else None


def check_lock(name: str, text: str) -> str:
    """Return the lock in this text, one line per requirement. Raises PythonBuildError if it is not one."""
    lines = sorted(set(_clean(name, text, {})))
    for line in lines:
        if not _is_pinned(line):
            raise _refused(name, _HASH.sub("", line), "it needs an exact version, and a SHA-256 hash")
    return _text(lines)


def _clean(path: str, text: str, files: Mapping[str, str]) -> Iterator[str]:
    for line in _lines(text):
        if _VARIABLE.search(line):
            raise _refused(path, line, "variables are not allowed in it")
        if _FOLDER.match(line):
            raise _refused(path, line, "folders can't be installed; use `import_paths` for the code of the repository")
        include = _INCLUDE.fullmatch(line)
        if include is not None and _target(path, include[2]) not in files:
            raise _refused(path, line, "that is not a file of the repository")
        if include is not None:
            yield line
        elif not line.startswith("-"):
            _check(path, line)
            yield _WEAK_HASH.sub("", line)


def _check(path: str, line: str) -> None:
    """Raise PythonBuildError unless the requirement is one of a package of an index, or of a file at an https URL."""
    requirement = _parse(line)
    if requirement is None:
        raise _refused(path, line, "that is not a requirement")
    if requirement.url is None:
        if _ARCHIVE.fullmatch(requirement.name):
            raise _refused(path, line, "files of the repository can't be installed")
        return
    if not requirement.url.lower().startswith("https://"):
        raise _refused(path, line, "only a URL that begins with https:// is allowed")
    if "@" in urlsplit(requirement.url).netloc:
        raise _refused(path, line, "the URL must not have credentials")


def _lines(text: str) -> Iterator[str]:
    """Yield the lines without comments and line continuations, each with single spaces."""
    return (" ".join(line.split()) for _, line in logical_lines(text))


def _text(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _target(path: str, included: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), included.strip("'\"")))


def _parse(line: str) -> Requirement | None:
    try:
        return Requirement(_HASH.sub("", line))
    except InvalidRequirement:
        return None


def _is_pinned(line: str) -> bool:
    requirement = _parse(line)
    if requirement is None or not _STRONG_HASH.search(line):
        return False
    exact = [one for one in requirement.specifier if one.operator in ("==", "===") and not one.version.endswith("*")]
    return requirement.url is not None or len(exact) == len(requirement.specifier) == 1


def _refused(path: str, line: str, why: str) -> PythonBuildError:
    return PythonBuildError("ResolveFailed", f"{path}: `{hide_user_information(line)}`: {why}.")
