"""Findings about the names of several documents: duplicates, and renames that are not possible.

`document_findings` calls `name_findings` with the documents of all files.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from controller.manifests.build import BuildResult, differing_key
from controller.manifests.yaml.nodes import Problem
from controller.model.findings import Finding
from controller.model.names import fold_name, with_free_name


def name_findings(documents: Collection[tuple[str, BuildResult]]) -> Iterator[Finding]:
    """Yield the findings about the names in these documents, each with the path of its file."""
    yield from _duplicate_names(documents)
    yield from _check_renames(documents)
    yield from _check_repeated_renames(documents)


def with_free_names(findings: Iterable[Finding], names: Iterable[str]) -> Iterator[Finding]:
    """Yield the findings, with a proposal of its own for each invalid name, which is none of these `names`.

    Findings at the same place, which are those of several environments, have the same proposal.
    """
    taken = {fold_name(name) for name in names}
    hints: dict[tuple[str, int, int, str], str] = {}
    for finding in findings:
        if finding.path != "$.name" or finding.hint is None:
            yield finding
            continue
        place = (finding.file, finding.line, finding.column, finding.hint)
        if place not in hints:
            hints[place] = with_free_name(finding.hint, taken)
        yield replace(finding, hint=hints[place])


def _duplicate_names(documents: Collection[tuple[str, BuildResult]]) -> Iterator[Finding]:
    """Yield a finding at every declaration of a name that is declared more than once: all of them are ambiguous.

    Names that differ only in case are the same name.
    """
    places: dict[str, list[tuple[str, BuildResult]]] = {}
    for path, document in documents:
        if document.identity is not None and document.is_enabled:
            places.setdefault(fold_name(document.identity), []).append((path, document))
    for declarations in places.values():
        for index, (path, document) in enumerate(declarations if len(declarations) > 1 else ()):
            second_path, second = declarations[1 if index == 0 else 0]
            is_same = document.identity == second.identity
            also = "is also declared" if is_same else f"differs only in case from {second.identity}"
            yield Problem(
                code="DuplicateName",
                message=f"the name {document.identity} {also} at {second_path}:{second.place.line}",
                place=document.place,
                path=("name",),
                hint="rename one of them",
            ).finding(path, document.identity)


def _check_renames(documents: Collection[tuple[str, BuildResult]]) -> Iterator[Finding]:
    """Yield a finding for each `renamed_from` that names a deployment that is still declared, in any case."""
    identities = (document.identity for _, document in documents if document.is_enabled)
    names = {fold_name(identity): identity for identity in identities if identity is not None}
    for path, document in documents:
        if document.renamed_from is None:
            continue
        old = names.get(fold_name(document.renamed_from))
        if old == document.identity != document.renamed_from:
            yield _case_only_rename(document).finding(path, document.identity)
        elif old is not None:
            yield Problem(
                code="RenamedFromDeclared",
                message=f"{old} is still declared, so it was not renamed",
                place=document.renamed,
                path=("renamed_from",),
                hint="remove renamed_from, or the document that still has the old name",
            ).finding(path, document.identity)


def _case_only_rename(document: BuildResult) -> Problem:
    old = document.renamed_from
    return Problem(
        code="CaseOnlyRename",
        message=f"the name {document.identity} differs only in case from {old}",
        place=document.renamed,
        path=("renamed_from",),
        hint=f"write name: {old} and remove renamed_from, or choose a name that differs in more than case",
    )


def _check_repeated_renames(documents: Collection[tuple[str, BuildResult]]) -> Iterator[Finding]:
    """Yield a finding for each repeated `renamed_from`: only one deployment can take over a history."""
    first: dict[str, tuple[str, BuildResult]] = {}
    for path, document in documents:
        old = document.renamed_from
        if old is not None and first.setdefault(fold_name(old), (path, document))[1] is not document:
            first_path, heir = first[fold_name(old)]
            is_same = (path, document.renamed) == (first_path, heir.renamed)
            key = differing_key(document, heir) if is_same else None
            yield Problem(
                code="RenamedTwice",
                message=f"the history of {old} already goes to the deployment at {first_path}:{heir.renamed.line}",
                place=document.renamed,
                path=("renamed_from",),
                hint="remove renamed_from from one of them" if key is None else f"add {{{key}}} to renamed_from",
            ).finding(path, document.identity)
