"""Findings that concern several documents: names, webhooks and dependencies, in each environment.

`reader` calls it with the documents of all files of a revision. Pure.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace

from controller.manifests.build import BuildResult
from controller.manifests.dependency_findings import dependency_findings
from controller.manifests.name_findings import name_findings
from controller.manifests.webhook_findings import duplicate_webhooks
from controller.model.findings import Finding

Placed = tuple[str, BuildResult]
"""The result of a document, with its file."""


def document_findings(
    documents: Collection[Placed],
    variants: Mapping[str, Collection[Placed]],
    *,
    only_names: Collection[str] = (),
    is_complete: bool,
) -> Iterator[Finding]:
    """Yield the findings of the chosen environment, then those that only other environments have.

    `documents` are those of the chosen environment, and `variants` those of each other environment in which they
    differ. `only_names` are the names of files that can't be read further. Without `is_complete`, there may be more
    names, so that unknown upstream deployments are not reported.
    """
    findings = list(_findings(documents, only_names, is_complete=is_complete))
    yield from findings
    reported = set(findings)
    for environment, others in variants.items():
        is_known = is_complete and all(document.identity is not None for _, document in others)
        for finding in _findings(others, only_names, is_complete=is_known):
            if finding not in reported:
                reported.add(finding)
                yield replace(finding, message=f"{finding.message} (in environment {environment})")


def differs(documents: Iterable[BuildResult], others: Iterable[BuildResult]) -> bool:
    """Return whether the documents of a file may have other findings of several documents than these."""
    return list(map(_relations, documents)) != list(map(_relations, others))


def _relations(document: BuildResult) -> object:
    """Return what other documents can conflict with."""
    return document.identity, document.is_enabled, document.renamed_from, document.upstreams, document.webhooks


def _findings(documents: Collection[Placed], only_names: Collection[str], *, is_complete: bool) -> Iterator[Finding]:
    enabled = [(path, document) for path, document in documents if document.is_enabled]
    yield from name_findings(documents)
    yield from duplicate_webhooks(enabled)
    names = {document.name for _, document in enabled if document.name is not None}.union(only_names)
    disabled = {document.identity for _, document in documents if not document.is_enabled and document.identity}
    yield from dependency_findings(enabled, names=names if is_complete else None, disabled=disabled - names)
