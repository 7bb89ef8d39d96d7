"""Implements `controller deployment create`: checks a spec and writes it to the deployments path.

The spec is checked together with the existing manifests, as the next commit would be. A YAML spec keeps its comments
and its order; only `flow_location`, which is relative to the file, is rewritten. Nothing is applied until it is
committed.
"""

import json
import os
import posixpath
import shlex
from dataclasses import replace as changed
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from controller.clock import SystemClock
from controller.errors import UsageError
from controller.settings import Location

if TYPE_CHECKING:
    from controller.manifests.reader import DesiredState
    from controller.manifests.yaml.nodes import Node
    from controller.model.findings import Finding
    from controller.model.snapshots import ManifestFile


def create_deployment(location: Location, file: Path, *, replace: bool) -> int:
    """Check and write the spec `file` and print what to commit. Return the exit code. Raises UsageError."""
    from controller.model.findings import Severity

    root = location.directory.resolve()
    path = file.absolute()
    if not path.is_file():
        raise UsageError(f"{file} does not exist or is not a file.")
    if not path.resolve().is_relative_to(root):
        hint = f"Copy it into the repository first: cp {shlex.quote(str(file))} {shlex.quote(f'{root}/')}"
        raise UsageError(f"{file} is not in the repository {root}.", hint=hint)
    own = path.resolve().relative_to(root).as_posix()
    target = _target(own, location)
    manifest = _manifest(root, own)
    desired = _read_with(location, manifest, without=target)
    findings = [_with_rename_hint(finding, own, target) for finding in desired.findings if finding.file == own]
    _print_findings(root, own, findings)
    if any(finding.severity is Severity.ERROR for finding in findings):
        return 1
    deployments = [deployment for deployment in desired.deployments.values() if deployment.file == own]
    if not deployments:
        raise UsageError(f"{file} declares no deployment.")
    if target != own:
        _write(root / target, _content(manifest, posixpath.dirname(target), deployments), replace=replace)
    for deployment in deployments:
        click.echo(f"Created deployment {deployment.name!r} for {deployment.target}")
    flows = {deployment.target.path for deployment in deployments if hasattr(deployment.target, "path")}
    files = [target, *sorted(flow for flow in flows if not flow.startswith("../"))]
    click.echo(f"To apply it: git add {shlex.join(files)} && git commit")
    return 0


def _target(own: str, location: Location) -> str:
    """Return the path to write to: the file itself if it is below the deployments path, else a file in that path."""
    if not location.path or own.startswith(f"{location.path}/"):
        return own
    stem, suffix = posixpath.splitext(posixpath.basename(own))
    return f"{location.path}/{stem}{'.yaml' if suffix == '.py' else suffix}"


def _manifest(root: Path, own: str) -> "ManifestFile":
    from controller.model.snapshots import ManifestFile, is_manifest, is_python

    if not is_manifest(own):
        raise UsageError(
            f"{own} is not YAML, JSON or Python.", hint="Use a file name that ends in .yaml, .yml, .json or .py."
        )
    content = (root / own).read_bytes()
    if is_python(own):
        from controller.python_specs import Renderer
        from controller.settings import flow_environment

        content = Renderer(environment=flow_environment()).render(root, own).content
    return ManifestFile(path=own, content=content, digest="new")


def _read_with(location: Location, manifest: "ManifestFile", *, without: str) -> "DesiredState":
    """Return the desired state of the working tree with `manifest` added and the file `without` left out."""
    from controller.git_directory import is_git_repository
    from controller.manifests.reader import ManifestReader
    from controller.sources.directory.source import DirectorySource

    follow = not is_git_repository(location.directory)
    path = location.path if (location.directory / location.path).is_dir() else manifest.path
    source = DirectorySource(location.directory, path=path, follow_links=follow)
    snapshot = source.read(source.observe())
    existing = [file for file in snapshot.files if file.path not in (manifest.path, without)]
    reader = ManifestReader(location.environment, all_environments=location.environment is None)
    files = sorted((*existing, manifest), key=lambda file: file.path)
    return reader.read(files, SystemClock().now(), snapshot.project, source.code(snapshot.revision))


def _with_rename_hint(finding: "Finding", own: str, target: str) -> "Finding":
    """Extend the hint of a duplicate name: the other file may have been created from this one before it was renamed."""
    if finding.code != "DuplicateName" or own == target:
        return finding
    hint = f"{finding.hint}; if that file was created from this one under an older name, remove it with git rm"
    return changed(finding, hint=hint)


def _print_findings(root: Path, own: str, findings: "list[Any]") -> None:
    if not findings:
        return
    from controller.cli.formats import text
    from controller.cli.formats.source_lines import source_lines

    shown_path = os.path.relpath(root / own)
    contents = {shown_path: (root / own).read_bytes()}
    shown = [changed(finding, file=shown_path) for finding in findings]
    click.echo(text.render(shown, source_lines(contents.get), width=120, color=False))


def _content(manifest: "ManifestFile", folder: str, deployments: "list[Any]") -> str:
    """Return the YAML or JSON text to write into `folder`.

    It is the text of the manifest with adjusted flow locations. Python specs, and YAML in which a location cannot be
    replaced in place, are written from their documents.
    """
    from controller.manifests.yaml.dump import as_yaml
    from controller.manifests.yaml.loader import load
    from controller.model.snapshots import is_json, is_python

    own_folder = posixpath.dirname(manifest.path)

    def relocate(location: str) -> str:
        return posixpath.relpath(posixpath.join(own_folder, location), folder or ".")

    if not is_python(manifest.path):
        text = manifest.content.decode()
        roots = [document.root for document in load(manifest.content, json=is_json(manifest.path)).documents]
        locations = [node for root in roots if (node := root.fields.get("flow_location")) is not None]
        rewritten = _rewrite_values(text, locations, relocate)
        if rewritten is not None:
            return rewritten
    documents = [dict(deployment.document) for deployment in deployments]
    for document in documents:
        if "flow_location" in document:
            document["flow_location"] = relocate(document["flow_location"])
    return as_yaml(documents)


def _rewrite_values(text: str, nodes: "list[Node]", replacement: Any) -> str | None:
    """Replace the value of each node in the text. Return None if one is not written literally on a single line."""
    lines = text.split("\n")
    for node in sorted(nodes, key=lambda node: node.place[:2], reverse=True):
        line, column = node.place.line - 1, node.place.column - 1
        rest = lines[line][column:]
        for old in (node.value, f'"{node.value}"', f"'{node.value}'"):
            if rest.startswith(old):
                new = replacement(node.value)
                lines[line] = lines[line][:column] + (json.dumps(new) if old != node.value else new) + rest[len(old) :]
                break
        else:
            return None
    return "\n".join(lines)


def _write(target: Path, text: str, *, replace: bool) -> None:
    if target.exists() and not replace:
        raise UsageError(f"{target} already exists; nothing was written.", hint="Use --replace to overwrite it.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"Cannot write {target}: {error.strerror}.") from error
