"""Extracts one document from the text of a manifest, as its author wrote it. Used by `controller restore`."""

from typing import Any

from controller.manifests.yaml.dump import as_yaml
from controller.manifests.yaml.loader import load
from controller.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """A document and its text. If it is the only one (`is_whole`), the text is the whole file with its comments."""

    document: dict[str, Any]
    text: str
    is_whole: bool


def excerpt(content: bytes, name: str, *, json: bool = False) -> Excerpt | None:
    """Return the document of this name; None if the file has none or can't be read. Never raises."""
    documents = [document.root.value for document in load(content, json=json).documents]
    for document in documents:
        if isinstance(document, dict) and document.get("name") == name:
            if len(documents) == 1:
                return Excerpt(document=document, text=content.decode(), is_whole=True)
            return Excerpt(document=document, text=as_yaml([document]), is_whole=False)
    return None
