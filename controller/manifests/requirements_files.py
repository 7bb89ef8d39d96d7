"""Reads requirements files, in the format of pip, as text: requirements, included files, and options.

`python_requests` calls it. Nothing is downloaded or executed. Where packages come from is the operator's decision, so
a file in a repository must not choose an index, and must not install what an index does not have as a wheel.
"""

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field

from controller.manifests.command_checks import yaml_word
from controller.records import dataclass
from controller.text import shorten

MAX_FILES = 50
_MISSING = "correct the path, or commit the file; a link that leads outside the repository does not count as a file"
_FILE_TYPES = frozenset({".txt", ".in", ".lock", ".toml"})

_OPTION = re.compile(r"(-r|--requirement|-c|--constraint)[\s=]+(.+)|(-r|-c)(\S+)")
_HASH = re.compile(r"\s--hash[=\s]\s*\w+:[0-9a-fA-F]+")
_COMMENT = re.compile(r"(^|\s)#.*$")
_IGNORED = ("--prefer-binary", "--require-hashes", "--only-binary", "--no-binary")
_SOURCE = re.compile(r"(-i|--index-url|--extra-index-url|-f|--find-links|--no-index|--trusted-host|--pre)\b")
_LOCAL = re.compile(r"(-e\b|--editable\b|\.{1,2}/|/|~/|file:|[\w.-]+\.(whl|tar\.gz|zip)$)")
_VERSION_CONTROL = re.compile(r"(?:[\w.\[\],\s-]+@\s*)?(git|hg|svn|bzr)\+", re.IGNORECASE)
_VARIABLE = re.compile(r"\$\{[A-Z0-9_]+\}")
_PINNED = re.compile(r"[^=<>!~]*===?\s*[^\s*,;]+\s*(?:;|$)")


class RequirementsError(Exception):
    """A requirements file that can't be used: the code of the finding, where, and what to do.

    `line` is 0 if the file at `path` itself does not exist.
    """

    def __init__(self, code: str, message: str, path: str, line: int = 1, hint: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.path = path
        self.line = line
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One requirement as written, without its hashes, with its place."""

    text: str
    path: str
    line: int
    has_hashes: bool = False

    @property
    def is_pinned(self) -> bool:
        """Whether it allows one version only."""
        return _PINNED.match(self.text) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """The requirements of a file and of those that it includes, and in `files` the texts of these files by path."""

    requirements: tuple[Requirement, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def unpinned(self) -> tuple[Requirement, ...]:
        """The requirements that allow more than one version."""
        return tuple(item for item in self.requirements if not (item.is_pinned or item.has_hashes))


def read_requirements(entry: str, read: Callable[[str], bytes | None]) -> Requirements:
    """Read the file at `entry` and those that it includes. Raises RequirementsError.

    `read` returns the bytes of a file of the revision, by its path relative to the root of the repository, or None.
    """
    files: dict[str, str] = {}
    requirements: list[Requirement] = []
    remaining = [(entry, entry, 0)]
    while remaining:
        path, source, line = remaining.pop(0)
        if path in files:
            continue
        if len(files) == MAX_FILES:
            message = f"{entry} includes more than {MAX_FILES} files"
            raise RequirementsError("InvalidRequirement", message, source, line)
        files[path] = read_text(path, read, source, line, hint=_list_hint(entry) if line == 0 else None)
        for item, included in _parse(path, files[path]):
            if item is not None:
                requirements.append(item)
            elif included is not None:
                remaining.append(included)
    return Requirements(requirements=tuple(requirements), files=files)


def check_list(requirements: tuple[str, ...], path: str) -> Requirements:
    """Check a list of requirements of the deployment in `path`. The `line` of each is its number, from 1.

    Raises RequirementsError.
    """
    checked = []
    for number, text in enumerate(requirements, start=1):
        stripped = text.strip()
        if stripped.startswith("-"):
            message = f"{shorten(stripped)} is an option, not a requirement"
            raise RequirementsError(
                "InvalidRequirement", message, path, number, "write options in a requirements file, and its path here"
            )
        checked.append(_requirement(stripped, path, number))
    return Requirements(requirements=tuple(checked))


def read_text(
    path: str, read: Callable[[str], bytes | None], source: str = "", line: int = 0, *, hint: str | None = None
) -> str:
    """Return the text of a file. Raises RequirementsError if it does not exist or is not UTF-8."""
    content = read(path)
    if content is None:
        message = f"file {shorten(path, 200)} does not exist"
        raise RequirementsError("PythonFileMissing", message, source or path, line, hint or _MISSING)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise RequirementsError("InvalidRequirement", "the file is not UTF-8", path, line, "save it as UTF-8") from None


def _list_hint(entry: str) -> str | None:
    """Return a hint for a requirement that is written where the path of a file is expected."""
    from packaging.requirements import InvalidRequirement
    from packaging.requirements import Requirement as Checked

    if posixpath.splitext(entry)[1] in _FILE_TYPES:
        return None
    try:
        Checked(entry)
    except InvalidRequirement:
        return None
    return f"to require a package, write a list: [{yaml_word(entry)}]"


def _parse(path: str, text: str) -> Iterator[tuple[Requirement | None, tuple[str, str, int] | None]]:
    """Yield the requirements of one file, and the files that it includes."""
    for line, written in logical_lines(text):
        if not written.startswith("-"):
            yield _requirement(written, path, line), None
            continue
        include = _OPTION.fullmatch(written)
        if include is not None:
            target = (include[2] or include[4]).strip().strip("'\"")
            yield None, (_inside(target, path, line), path, line)
        else:
            _check_option(written, path, line)


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not empty, with their numbers: without comments, and with continuations joined.

    As in pip, a line that ends with a backslash continues, even if it ends with a comment: the next line is then a part
    of that comment. A line that is only a comment does not continue.
    """
    joined, start = "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        start = start if joined else number
        if line.endswith("\\") and not line.lstrip().startswith("#"):
            joined += line[:-1]
            continue
        is_comment = line.lstrip().startswith("#")
        joined = _COMMENT.sub("", f"{joined} {line}" if is_comment else joined + line).strip()
        if joined:
            yield start, joined
        joined = ""
    if joined.strip():
        yield start, _COMMENT.sub("", joined).strip()


def _inside(target: str, path: str, line: int) -> str:
    """Return the path of an included file, relative to the root of the repository."""
    joined = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    if "://" in target or target.startswith("/") or joined == ".." or joined.startswith("../"):
        message = f"{shorten(target)} is outside the repository"
        raise RequirementsError("ForbiddenRequirement", message, path, line, "commit the file, and include that")
    return joined


def _check_option(written: str, path: str, line: int) -> None:
    if _LOCAL.match(written):
        raise _local(written, path, line)
    if _SOURCE.match(written):
        message = f"{shorten(written.split()[0].partition('=')[0])} is the operator's decision, not the repository's"
        hint = "remove it; the operator sets UV_DEFAULT_INDEX or UV_INDEX for the controller"
        raise RequirementsError("ForbiddenRequirement", message, path, line, hint)
    if not written.startswith(_IGNORED):
        message = f"unknown option {shorten(written)}"
        raise RequirementsError("InvalidRequirement", message, path, line)


def _requirement(written: str, path: str, line: int) -> Requirement:
    if _VERSION_CONTROL.match(written):
        message = f"{shorten(written)} comes from version control, so it would have to be built"
        hint = "publish a wheel to your index, and require that"
        raise RequirementsError("ForbiddenRequirement", message, path, line, hint)
    text = _HASH.sub("", f"{written} ").strip()
    if _LOCAL.match(text):
        raise _local(text, path, line)
    from packaging.requirements import InvalidRequirement
    from packaging.requirements import Requirement as Checked

    if _VARIABLE.search(text):
        message = f"{shorten(text)} has a variable, which nothing sets"
        raise RequirementsError("ForbiddenRequirement", message, path, line, "write the value itself")
    try:
        url = Checked(text).url
    except InvalidRequirement as error:
        reason = str(error).splitlines()[0]
        message = f"{shorten(text)} is not a requirement: {shorten(reason, 200)}"
        hint = "write a name with an optional version: pandas==3.0.1"
        raise RequirementsError("InvalidRequirement", message, path, line, hint) from None
    if url is not None:
        message = f"{shorten(text)} names the place of its file, which is the operator's decision"
        hint = "publish the wheel to your index, and require its version: name==1.2.3"
        raise RequirementsError("ForbiddenRequirement", message, path, line, hint)
    return Requirement(text=text, path=path, line=line, has_hashes=text != written)


def _local(written: str, path: str, line: int) -> RequirementsError:
    message = f"{shorten(written)} is a local package, which can't be installed"
    hint = "put the folder of its modules under import_paths; or publish a wheel to your index, and require that"
    return RequirementsError("ForbiddenRequirement", message, path, line, hint)
