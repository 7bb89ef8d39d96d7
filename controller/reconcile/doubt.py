"""Has a deployment that is not declared (well) any more really left the repository? Pure. `plan` asks.

Invalid is not absent: what may only have moved into a file that can't be read is kept.
"""

import re
from collections.abc import Iterable, Mapping

from controller.manifests import DesiredState
from controller.model.findings import Finding, Severity
from controller.model.snapshots import Snapshot
from controller.model.status import INVALID, InventoryEntry


class Doubt:
    """What is wrong at one revision, by the names and files that it casts doubt on."""

    def __init__(
        self,
        snapshot: Snapshot,
        desired: DesiredState,
        findings: Iterable[Finding],
        recorded: Mapping[str, InventoryEntry],
    ) -> None:
        errors = [finding for finding in findings if finding.severity is Severity.ERROR]
        self._declared = desired.declared_names
        self._by_name = {finding.deployment: finding for finding in reversed(errors) if finding.deployment}
        self._by_file = {finding.file: finding for finding in reversed(errors)}
        self._broken = desired.broken_files
        self._present = {file.path for file in snapshot.files}
        known = {entry.file for entry in recorded.values()}
        # A bad file that nothing is known of may be where a vanished deployment has moved to.
        self._strangers = [finding for file, finding in self._by_file.items() if file not in known]
        self._errors = errors
        self._texts = {file.path: file.content for file in snapshot.files if file.path in desired.broken_files}

    def about(self, entry: InventoryEntry) -> str | None:
        """Why it must be kept; None if it is gone for certain."""
        finding = self._by_name.get(entry.name) or self._by_file.get(entry.file)
        if finding is None and entry.file in self._broken:
            # What broke it stands in another file: in controller.yaml, or it is a file too many.
            finding = next(iter(self._errors), None)
        if finding is None and entry.name not in self._declared and entry.file not in self._present:
            # Once in doubt, always in doubt while there is an error: its stranger may be known by now. The first error
            # is named, so that looking at the same revision again gives the same words.
            is_doubtful = entry.reason == INVALID or self._strangers
            finding = next(iter(self._errors), None) if is_doubtful else None
        if finding is None and entry.name not in self._declared:
            finding = self._mentioned(entry.name)
        if finding is not None:
            return f"{finding.file}:{finding.line}:{finding.column}: {finding.message}"
        return "Its newest document is not valid." if entry.name in self._declared else None

    def _mentioned(self, name: str) -> Finding | None:
        """The fault of a bad file that has the name somewhere in its text: the deployment may have moved there."""
        word = re.compile(rb"(?<![\w-])" + name.encode() + rb"(?![\w-])")
        found = (self._by_file.get(path) for path, text in self._texts.items() if word.search(text))
        return next((finding for finding in found if finding is not None), None)
