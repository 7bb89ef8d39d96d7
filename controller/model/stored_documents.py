"""A recorded document that is held as its JSON text, because thousands of them would need three times the memory.

`store` creates it for the reconciler, which needs most documents only once after a start, or never.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any


class StoredDocument(Mapping[str, Any]):
    """A document that is parsed again for each access. Use `plain_document` before more than one access."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def parse(self) -> dict[str, Any]:
        """Return a new dict with the document."""
        document: dict[str, Any] = json.loads(self._text)
        return document

    def __getitem__(self, key: str) -> Any:
        return self.parse()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.parse())

    def __len__(self) -> int:
        return len(self.parse())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._text!r})"


def plain_document(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document as a dict."""
    return document.parse() if isinstance(document, StoredDocument) else dict(document)
