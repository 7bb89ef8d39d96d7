"""One document out of the text of a manifest, as its author wrote it. `controller restore` calls it."""

from dataclasses import dataclass
from typing import Any

from controller.manifests.yaml.dump import as_yaml
from controller.manifests.yaml.loader import load


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """The document and its text: the whole file with its comments where the file holds nothing else (`is_whole`)."""

    document: dict[str, Any]
    text: str
    is_whole: bool


def excerpt(content: bytes, name: str, *, json: bool = False) -> Excerpt | None:
    """The document of this name; None if the file has none, or can't be read. Never raises."""
    documents = [one.root.value for one in load(content, json=json).documents]
    for document in documents:
        if isinstance(document, dict) and document.get("name") == name:
            if len(documents) == 1:
                return Excerpt(document=document, text=content.decode(), is_whole=True)
            return Excerpt(document=document, text=as_yaml([document]), is_whole=False)
    return None
