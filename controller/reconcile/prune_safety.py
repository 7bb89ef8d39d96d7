"""Has a deployment that is not declared (well) any more really left the repository? Pure. `plan` asks.

Invalid is not absent: what may only have moved into a file whose names can't all be read is kept.
"""

import re
from collections.abc import Collection, Iterable, Mapping

from controller.manifests import NOT_RENDERED, DesiredState
from controller.model.findings import Finding, Severity
from controller.model.snapshots import PROJECT_FILE, Snapshot
from controller.model.status import INVALID, InventoryEntry

_NO_TEXT = frozenset({"NotUtf8", "NotAManifest"})
"""Findings of files that are encoded, encrypted or stored elsewhere: a name can't be searched for in them."""


class PruneSafety:
    """What is wrong at one revision, by the names and files that it casts doubt on."""

    def __init__(
        self,
        snapshot: Snapshot,
        desired: DesiredState,
        findings: Iterable[Finding],
        recorded: Mapping[str, InventoryEntry],
    ) -> None:
        every = list(findings)
        errors = [finding for finding in every if finding.severity is Severity.ERROR]
        self._declared = desired.declared_names
        self._by_name = {finding.deployment: finding for finding in reversed(errors) if finding.deployment}
        self._by_file = {finding.file: finding for finding in reversed((*errors, *every))}
        self._broken = desired.broken_files | {file.path for file in snapshot.refused}
        self._unclear = {
            **{path: f"which {why}" for path, why in desired.unclear_files.items()},
            **{file.path: "which cannot be read" for file in snapshot.refused},
        }
        self._unexecuted = {finding.file for finding in every if finding.code == NOT_RENDERED}
        self._present = {file.path for file in snapshot.files}
        known = {entry.file for entry in recorded.values()}
        self._texts = {file.path: file.content for file in snapshot.files if file.path in desired.broken_files}
        # A deployment that vanished may have moved into a file of unclear names that is new, or whose text is hidden.
        hidden = {finding.file for finding in errors if finding.code in _NO_TEXT}
        self._has_strangers = any(path not in known or self._hides(path, hidden) for path in self._unclear)
        is_nothing_applied = desired.limits is None or desired.lacks_environment
        self._project = next((one for one in errors if one.file == PROJECT_FILE), None) if is_nothing_applied else None

    def about(self, entry: InventoryEntry) -> str | None:
        """Why it must be kept; None if it is gone for certain."""
        finding = self._by_name.get(entry.name) or self._project
        if finding is not None:
            return _where(finding)
        if entry.file in self._broken:
            return self._about_own_file(entry)
        if entry.name in self._declared:
            return "Its newest document is not valid."
        path = self._mentioned(entry.name)
        if path is None and entry.file not in self._present:
            # Once in doubt, always in doubt while names are unclear: its stranger may be known by now. The first file
            # is named, so that looking at the same revision again gives the same words.
            is_doubtful = entry.reason == INVALID or self._has_strangers
            path = next(iter(sorted(self._unclear)), None) if is_doubtful else None
        if path is None:
            return None
        why = self._unclear.get(path) or ("which was not executed" if path in self._unexecuted else "which has errors")
        return f"it may have moved into {path}, {why}"

    def _about_own_file(self, entry: InventoryEntry) -> str:
        """It was declared in this file: what is wrong there may have hidden it."""
        finding = self._by_file.get(entry.file)
        if finding is not None and (entry.file in self._unclear or finding.deployment is None):
            return _where(finding)
        return f"it was declared in {entry.file}, which has errors"

    def _hides(self, path: str, hidden: Collection[str]) -> bool:
        """Whether the text of the file does not show every name that the file may declare."""
        text = self._texts.get(path)
        return text is None or path.endswith(".py") or (path in hidden and b"<<<<<<<" not in text)

    def _mentioned(self, name: str) -> str | None:
        """The broken file that has the name in its text: the deployment may have moved there.

        Where all names of the file can be read, only what is written like the declaration of the name counts.
        """
        word = rb"(?<![\w-])" + name.encode() + rb"(?![\w-])"
        anywhere = re.compile(word, re.IGNORECASE)
        declared = re.compile(rb"""(?<![\w-])name["']?\s*[:=]\s*["']?""" + word)
        found = (
            path
            for path, text in self._texts.items()
            if (anywhere if path in self._unclear else declared).search(text) is not None
        )
        return next(found, None)


def _where(finding: Finding) -> str:
    return f"{finding.file}:{finding.line}:{finding.column}: {finding.message}"
