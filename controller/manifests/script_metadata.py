"""Reads inline script metadata (PEP 723) from the text of a Python file: its requirements and Python version.

`python_requests` calls it for the file of a flow. The file is not executed.
"""

import re
import tomllib
from dataclasses import dataclass

from controller.manifests.requirements_files import RequirementsError

MARK = b"# /// script"
_BLOCK = re.compile(r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$")
"""The reference expression of PEP 723."""


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
    text = content.decode("utf-8", "replace").replace("\r\n", "\n")
    blocks = [match for match in _BLOCK.finditer(f"{text}\n") if match["type"] == "script"]
    if not blocks:
        return None
    line = text.count("\n", 0, blocks[0].start()) + 1
    if len(blocks) > 1:
        raise RequirementsError("InvalidScriptMetadata", "the file has more than one block `# /// script`", path, line)
    lines = blocks[0]["content"].splitlines(keepends=True)
    try:
        metadata = tomllib.loads("".join(each[2:] if each.startswith("# ") else each[1:] for each in lines))
    except tomllib.TOMLDecodeError as error:
        raise RequirementsError(
            "InvalidScriptMetadata", f"the script metadata is not TOML: {error}", path, line
        ) from None
    dependencies, version = metadata.get("dependencies", []), metadata.get("requires-python")
    is_list = isinstance(dependencies, list) and all(isinstance(each, str) for each in dependencies)
    if not is_list or not isinstance(version, str | None):
        message = "the script metadata must have a list `dependencies` and a string `requires-python`"
        raise RequirementsError("InvalidScriptMetadata", message, path, line)
    return ScriptMetadata(dependencies=tuple(dependencies), requires_python=version, line=line)
