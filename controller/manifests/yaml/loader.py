"""Reads the bytes of a manifest into documents and problems. Only this package uses the YAML parser.

`parse_cache` calls it for every changed file, including JSON (YAML 1.2 is a superset). Loading never raises and never
takes long, whatever the bytes are: sizes are checked first, and building stops as soon as a limit is exceeded.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Protocol

import yaml

from controller.flow_analysis import Cause, cause_of
from controller.manifests.yaml.builder import HANDLERS, LimitError, TreeBuilder
from controller.manifests.yaml.nodes import Document, Position, Problem
from controller.manifests.yaml.value_nodes import value_node
from controller.manifests.yaml.values import MAX_BYTES, UnusualError, read_values
from controller.records import dataclass

MAX_FILE_BYTES = 1024 * 1024
MAX_TAG_DIRECTIVES = 16
"""libyaml compares every %TAG line with all earlier ones, so a file full of them would take minutes."""


class _Parser(Protocol):
    """The common interface of libyaml's loader and the pure-Python one. `get_event` raises yaml.YAMLError."""

    def get_event(self) -> yaml.Event: ...


_LOADER: Callable[[str], _Parser] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_FORBIDDEN = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")
_BREAKS = "\x85\u2028\u2029"
"""Line breaks for libyaml, but not for YAML 1.2, editors or reviewers: with one, a key could hide in a comment."""
_SURROGATE_PAIR = re.compile(r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_NAME_LINE = re.compile(r"""^["']?name["']?[ \t]*:""", re.MULTILINE)
_OTHER_DOCUMENT = re.compile(r"---|\.\.\.")
_UNFINISHED_MERGE = re.compile(r"^(<<<<<<<|=======|>>>>>>>)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """The contents of a file. If `problems` has an error, the whole file is unusable and `documents` is empty.

    `only_name` is the one name that such a file can declare; None if its names are unknown.
    """

    documents: tuple[Document, ...] = ()
    problems: tuple[Problem, ...] = ()
    only_name: str | None = None


def load(content: bytes, *, json: bool = False) -> Loaded:
    """Return the documents of a file. With `json`, a surrogate pair of escapes is one character, as in JSON."""
    text = _text(content, json=json)
    if isinstance(text, Problem):
        return Loaded(problems=(text,))
    builders: list[TreeBuilder] = []
    try:
        documents = tuple(document for builder in _builders(text, builders) for document in _documents(builder))
    except LimitError as error:
        return Loaded(problems=(error.problem,))
    except yaml.YAMLError as error:
        from controller.manifests.yaml.syntax_errors import explain  # most files have none

        return Loaded(problems=(explain(error, text),), only_name=_only_name(error, text, builders))
    return Loaded(documents=documents)


def load_values(content: bytes, *, json: bool = False) -> Loaded | None:
    """Return the documents of a file without positions, in half the time; None for a file that only `load` can read.

    That is each file with a problem, and also some others: those that are large, or that use anchors.
    """
    text = _text(content, json=json) if len(content) <= MAX_BYTES else None
    if not isinstance(text, str):
        return None
    try:
        values = read_values(_LOADER(text).get_event)
    except (UnusualError, yaml.YAMLError):
        return None
    roots = (root for value in values if value is not None for root in (value if value.__class__ is list else (value,)))
    return Loaded(documents=tuple(Document(root=value_node(root)) for root in roots))


def _text(content: bytes, *, json: bool) -> str | Problem:
    text = _decode(content)
    return _SURROGATE_PAIR.sub(_join_surrogates, text) if json and isinstance(text, str) else text


def _decode(content: bytes) -> str | Problem:
    if len(content) > MAX_FILE_BYTES:
        message = f"the file has {len(content)} bytes; the limit is {MAX_FILE_BYTES}"
        return Problem(code="FileTooLarge", message=message, place=Position(1, 1))
    if (cause := cause_of(content)) is not None:
        return _unusable_content(cause)
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        before = content[: error.start].decode()
        message = f"byte 0x{content[error.start]:02x} is not valid UTF-8"
        return Problem(code="NotUtf8", message=message, place=_end_of(before), hint="save the file as UTF-8")
    text = text.removeprefix("\ufeff")
    if match := _FORBIDDEN.search(text):
        return _forbidden_character(match.group(), _end_of(text[: match.start()]))
    return _check_directives(text)


def _unusable_content(cause: Cause) -> Problem:
    place = Position(cause.line, 1)
    if cause.is_encoding:
        return Problem(code="NotUtf8", message=cause.message, place=place, hint=cause.hint)
    return Problem(code="NotAManifest", message=cause.message, place=place, hint=cause.hint)


def _forbidden_character(character: str, place: Position) -> Problem:
    code = f"{ord(character):04X}"
    if character in _BREAKS:
        message, hint = f"line break U+{code} is not allowed", f'write it as an escape in double quotes: "\\u{code}"'
    else:
        message = f"control character U+{code} is not allowed"
        hint = "save the file as UTF-8" if character == "\0" else "remove it"
    return Problem(code="InvalidCharacter", message=message, place=place, hint=hint)


def _check_directives(text: str) -> str | Problem:
    if "%TAG" not in text:  # the usual case
        return text
    for count, match in enumerate(re.finditer(r"^%TAG", text, re.MULTILINE)):
        if count == MAX_TAG_DIRECTIVES:
            place = _end_of(text[: match.start()])
            message = f"more than {MAX_TAG_DIRECTIVES} %TAG lines; tags are not allowed"
            return Problem(code="TagNotAllowed", message=message, place=place)
    return text


def _end_of(before: str) -> Position:
    lines = re.split("\r\n|\r|\n", before)
    return Position(len(lines), len(lines[-1]) + 1)


def _join_surrogates(match: re.Match[str]) -> str:
    high, low = int(match[2], 16), int(match[3], 16)
    return f"{match[1]}\\U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08x}"


def _builders(text: str, started: list[TreeBuilder]) -> Iterator[TreeBuilder]:
    """Yield one finished builder per YAML document. Raises LimitError and yaml.YAMLError.

    Every builder is appended to `started` as soon as its document begins.
    """
    builder = TreeBuilder()
    next_event, scalar = _LOADER(text).get_event, yaml.ScalarEvent
    while (kind := type(event := next_event())) is not yaml.StreamEndEvent:
        if kind is scalar:
            builder.add_scalar(event)
        elif (handle := HANDLERS.get(kind)) is not None:
            handle(builder, event)
        elif kind is yaml.DocumentStartEvent:
            builder = TreeBuilder(nodes_before=builder.nodes, text_before=builder.text)
            started.append(builder)
        elif kind is yaml.DocumentEndEvent:
            yield builder


def _only_name(error: yaml.YAMLError, text: str, started: list[TreeBuilder]) -> str | None:
    """Return the name that was read before the error; None if the file may declare another name too.

    That is possible if the file may have been truncated, if another document or name follows the error, or if a matrix
    gives the document several names.
    """
    mark = getattr(error, "problem_mark", None)
    if mark is None or len(started) != 1:
        return None
    rest = text.split("\n")[mark.line :]
    is_cut_off = not "".join((rest[0][mark.column :], *rest[1:])).strip() if rest else True
    is_ambiguous = len(_NAME_LINE.findall(text)) > 1 or _UNFINISHED_MERGE.search(text)
    if is_cut_off or is_ambiguous or "matrix" in text or any(_OTHER_DOCUMENT.match(line) for line in rest):
        return None
    return started[0].open_name()


def _documents(builder: TreeBuilder) -> Iterator[Document]:
    """Yield the document, or each item if it is a list, with its problems. An empty document yields nothing."""
    root, problems = builder.root, tuple(builder.problems)
    if root is None or (root.value is None and not problems):
        return
    if not isinstance(root.value, list):
        yield Document(root=root, problems=problems)
        return
    # Problems of the list itself apply to every item.
    shared = tuple(problem for problem in problems if not problem.path)
    by_item: defaultdict[str | int, list[Problem]] = defaultdict(list)
    for problem in problems:
        if problem.path:
            by_item[problem.path[0]].append(replace(problem, path=problem.path[1:]))
    for index, item in enumerate(root.items):
        yield Document(root=item, problems=(*shared, *by_item[index]))
