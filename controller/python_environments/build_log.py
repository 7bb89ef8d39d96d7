"""The log of one build: what uv was asked to do and what it printed. Kept as a file; its end is recorded."""

from collections.abc import Sequence
from pathlib import Path

from controller.python_environments.uv import Output

MAX_BYTES = 256 << 10
END_CHARACTERS = 4000


class BuildLog:
    """Collects the lines of a build, at most the last `MAX_BYTES`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._text = ""

    def add(self, text: str) -> None:
        """Add lines."""
        self._text = f"{self._text}{text.rstrip()}\n"[-MAX_BYTES:]

    def add_command(self, arguments: Sequence[str], output: Output) -> Output:
        """Add a uv command with what it printed. Return the output."""
        self.add(f"$ uv {' '.join(arguments)}\n{output.messages}")
        return output

    @property
    def end(self) -> str:
        """The last lines."""
        if len(self._text) <= END_CHARACTERS:
            return self._text
        return self._text[-END_CHARACTERS:].partition("\n")[2]

    def save(self) -> None:
        """Write the file, unless the log is empty. Raises OSError."""
        if not self._text:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = self._path.with_name(f"{self._path.name}.new")
        draft.write_text(self._text, encoding="utf-8", errors="replace")
        draft.replace(self._path)
