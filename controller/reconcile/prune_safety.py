"""Decides whether a deployment without a valid document has really left the repository. Pure; called by `plan`.

Invalid is not absent: a deployment that may have moved into a file whose names can't all be read is kept.
"""

import re
from collections.abc import Collection, Iterable, Mapping

from controller.manifests.reader import DesiredState
from controller.manifests.rendered_specs import NOT_RENDERED
from controller.model.findings import Finding, Severity
from controller.model.snapshots import PROJECT_FILE, Snapshot
from controller.model.status import INVALID, InventoryEntry

_NO_TEXT = frozenset({"NotUtf8", "NotAManifest"})
"""Codes of findings for files that are encoded, encrypted or stored elsewhere: their text can't be searched."""


class PruneSafety:
    """The errors of one revision, indexed by the names and files whose deployments must be kept because of them.

    `earlier_files` are manifests that existed before, besides those that `recorded` names: a deployment that is missing
    now is not expected in them, unless they contain its name.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        desired: DesiredState,
        findings: Iterable[Finding],
        recorded: Mapping[str, InventoryEntry],
        earlier_files: Collection[str] = (),
    ) -> None:
        all_findings = list(findings)
        errors = [finding for finding in all_findings if finding.severity is Severity.ERROR]
        self._declared = desired.declared_names
        self._by_name = {finding.deployment: finding for finding in reversed(errors) if finding.deployment}
        self._by_file = {finding.file: finding for finding in reversed((*errors, *all_findings))}
        self._broken = desired.broken_files | {file.path for file in snapshot.refused}
        self._unclear = {
            **{path: f"which {why}" for path, why in desired.unclear_files.items()},
            **{file.path: "which cannot be read" for file in snapshot.refused},
        }
        self._unexecuted = {finding.file for finding in all_findings if finding.code == NOT_RENDERED}
        self._present = {file.path for file in snapshot.files}
        recorded_files = {*earlier_files, *(entry.file for entry in recorded.values())}
        self._texts = {file.path: file.content for file in snapshot.files if file.path in desired.broken_files}
        # A missing deployment may have moved into a file of unclear names that is new, or whose text can't be searched.
        unsearchable = {finding.file for finding in errors if finding.code in _NO_TEXT}
        self._may_hide_any_name = any(
            path not in recorded_files or self._hides_names(path, unsearchable) for path in self._unclear
        )
        is_nothing_applied = desired.limits is None or desired.lacks_environment
        project_errors = (finding for finding in errors if finding.file == PROJECT_FILE)
        self._project = next(project_errors, None) if is_nothing_applied else None

    def reason_to_keep(self, entry: InventoryEntry) -> str | None:
        """Return why this deployment must be kept, or None if it has certainly been deleted."""
        finding = self._by_name.get(entry.name) or self._project
        if finding is not None:
            return str(finding)
        if entry.file in self._broken:
            return self._reason_in_own_file(entry)
        if entry.name in self._declared:
            return "its newest document is invalid"
        path = self._file_mentioning(entry.name)
        if path is None and entry.file not in self._present:
            # A deployment that was kept before is kept for as long as names are unclear: the file that was new then is
            # recorded by now. The first file is named, so that the same revision always gives the same message.
            may_have_moved = entry.reason == INVALID or self._may_hide_any_name
            path = next(iter(sorted(self._unclear)), None) if may_have_moved else None
        if path is None:
            return None
        why = self._unclear.get(path) or ("which was not executed" if path in self._unexecuted else "which has errors")
        return f"it may have moved into {path}, {why}"

    def _reason_in_own_file(self, entry: InventoryEntry) -> str:
        """Return the error of the file that declared the deployment: it may hide the document."""
        finding = self._by_file.get(entry.file)
        if finding is not None and (entry.file in self._unclear or finding.deployment is None):
            return str(finding)
        return f"it was declared in {entry.file}, which has errors"

    def _hides_names(self, path: str, unsearchable: Collection[str]) -> bool:
        """Whether the file may declare names that its text does not contain."""
        text = self._texts.get(path)
        if text is None or path.endswith(".py") or b"matrix" in text:
            return True
        return path in unsearchable and b"<<<<<<<" not in text

    def _file_mentioning(self, name: str) -> str | None:
        """Return a broken file whose text contains the name: the deployment may have moved there.

        In a file whose names can all be read, only text that looks like a declaration of the name counts.
        """
        word = re.escape(name.encode())
        anywhere = re.compile(rb"(?<![\w-])" + word + rb"(?![\w-])", re.IGNORECASE)
        declared = re.compile(rb"""(?<![\w-])name["']?\s*[:=]\s*["']?""" + word + rb"(?![\w.-])")
        matches = (
            path
            for path, text in self._texts.items()
            if (anywhere if path in self._unclear else declared).search(text) is not None
        )
        return next(matches, None)
