"""Reads inline script metadata (PEP 723) from the text of a Python file: its requirements and Python version.

`python_requests` calls it for the file of a flow. The file is not executed.
"""

import tomllib
from collections.abc import Iterator
from typing import Any

from controller.manifests.requirements_files import RequirementsError
from controller.records import dataclass

MARK = b"# /// script"
_START, _END = "# /// script", "# ///"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptMetadata:
    """The requirements of a script; `line` is that of its block."""

    dependencies: tuple[str, ...]
    requires_python: str | None
    line: int


def read_script_metadata(content: bytes, path: str) -> ScriptMetadata | None:
    """Return the metadata of the Python file at `path`, or None. Raises RequirementsError if it is not valid."""
    if MARK not in content:
        return None
    blocks = list(_blocks(content.decode("utf-8", "replace").splitlines()))
    if not blocks:
        return None
    line, text = blocks[0]
    if len(blocks) > 1:
        message = "the file has more than one block `# /// script`"
        raise RequirementsError("InvalidScriptMetadata", message, path, blocks[1][0])
    try:
        metadata = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = f"the script metadata is not TOML: {error}"
        raise RequirementsError("InvalidScriptMetadata", message, path, line) from None
    _check_sources(metadata, path, line)
    dependencies, version = metadata.get("dependencies", []), metadata.get("requires-python")
    is_list = isinstance(dependencies, list) and all(isinstance(each, str) for each in dependencies)
    if not is_list or not isinstance(version, str | None):
        message = "the script metadata must have a list `dependencies` and a string `requires-python`"
        raise RequirementsError("InvalidScriptMetadata", message, path, line)
    return ScriptMetadata(dependencies=tuple(dependencies), requires_python=version, line=line)


def _blocks(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Yield the line number and the content of each block, in one pass over the lines.

    As in the reference expression of PEP 723, a block ends with the last `# ///` of the comment lines that follow it.
    """
    start = 0
    while start < len(lines):
        if lines[start] != _START:
            start += 1
            continue
        end, last = start + 1, None
        while end < len(lines) and (lines[end] == "#" or lines[end].startswith("# ")):
            last = end if lines[end] == _END else last
            end += 1
        if last is not None:
            yield start + 1, "\n".join(line[2:] for line in lines[start + 1 : last])
        start = end


def _check_sources(metadata: dict[str, Any], path: str, line: int) -> None:
    """Raise RequirementsError if the block says where packages come from, which controller would not do."""
    tool = metadata.get("tool")
    uv = tool.get("uv") if isinstance(tool, dict) else None
    for key in ("index", "sources", "index-url", "extra-index-url", "find-links"):
        if isinstance(uv, dict) and key in uv:
            message = f"tool.uv.{key} is the operator's decision, not the repository's"
            hint = "remove it; the operator sets UV_DEFAULT_INDEX or UV_INDEX for the controller"
            raise RequirementsError("ForbiddenRequirement", message, path, line, hint)
