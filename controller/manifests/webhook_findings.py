"""Makes the findings about names of webhooks that are declared more than once. `document_findings` calls it."""

from collections.abc import Iterable, Iterator

from controller.manifests.build import BuildResult, differing_key
from controller.manifests.yaml.nodes import Path, Position, Problem
from controller.model.findings import Finding


def duplicate_webhooks(documents: Iterable[tuple[str, BuildResult]]) -> Iterator[Finding]:
    """Yield a finding at each declaration of a name that is declared more than once: no request could tell them apart.

    `documents` are the enabled ones, each with its file.
    """
    declarations: dict[str, list[tuple[str, BuildResult, Position, Path]]] = {}
    for file, document in documents:
        for name, place, path in document.webhooks:
            declarations.setdefault(name, []).append((file, document, place, path))
    for name, places in declarations.items():
        for index, (file, document, place, path) in enumerate(places if len(places) > 1 else ()):
            other_file, other_document, other, _ = places[1 if index == 0 else 0]
            key = differing_key(document, other_document) if (file, place) == (other_file, other) else None
            yield Problem(
                code="DuplicateWebhook",
                message=f"the webhook {name} is also declared at {other_file}:{other.line}",
                place=place,
                path=path,
                hint="rename one of them" if key is None else f"add {{{key}}} to the name of the webhook",
            ).finding(file, document.identity)
