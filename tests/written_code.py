"""The code of a fictitious revision for tests, in the form that `sources` returns."""

import hashlib
import re
from collections.abc import Iterable, Mapping

from controller.model.snapshots import DIRECTORY, CodeFile


class WrittenCode:
    """Files by path, and which of them were read, in order."""

    def __init__(self, files: Mapping[str, str | bytes]) -> None:
        self.files = {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}
        self.was_read: list[str] = []

    def read_ahead(self, paths: Iterable[str]) -> None:
        """Nothing is gained by it."""

    def find(self, paths: Iterable[str]) -> Mapping[str, CodeFile]:
        wanted = list(paths)
        directories = [
            path for path in wanted if path.endswith("/") and any(file.startswith(path) for file in self.files)
        ]
        files = {path: _file(self.files[path]) for path in wanted if path in self.files}
        return {**files, **dict.fromkeys(directories, DIRECTORY)}

    def read(self, path: str) -> bytes:
        self.was_read.append(path)
        return self.files[path]


def code_of(example: str) -> WrittenCode:
    """The Python files of an example: what its `# def …` comments say, otherwise a flow that takes anything."""
    said = re.findall(r"^# (def .+)$", example, re.MULTILINE)
    source = "\n".join(said or ["def main(**anything): ..."])
    return WrittenCode(dict.fromkeys(("flows/etl.py", "flows/report.py", "etl.py"), source))


def _file(content: bytes) -> CodeFile:
    return CodeFile(digest=hashlib.sha256(content).hexdigest(), size=len(content))
