"""What `deployment create` does: one spec, judged where it is, written to where it is followed.

It is judged together with what is there already, as the next commit would be. Comments and order of a YAML spec stay;
only `flow_location`, which is relative to its file, is written anew. Nothing is in force until it is committed.
"""

import json
import os
import posixpath
import shlex
from dataclasses import replace as changed
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from controller.errors import UsageError
from controller.settings import Location

if TYPE_CHECKING:
    from controller.manifests import DesiredState
    from controller.manifests.yaml.nodes import Node
    from controller.model.findings import Finding
    from controller.model.snapshots import ManifestFile


def create(location: Location, file: Path, *, replace: bool) -> int:
    """Judge, write, and say what to commit. Raises UsageError."""
    from controller.model.findings import Severity

    root = location.directory.resolve()
    full = file.absolute()
    if not full.is_file():
        raise UsageError(f"There is no file {file}.")
    if not full.resolve().is_relative_to(root):
        raise UsageError(f"{file} is not in the repository {root}.", hint="Name another one with --repo.")
    own = full.resolve().relative_to(root).as_posix()
    target = _target(own, location)
    manifest = _manifest(root, own)
    desired = _judge(location, manifest, without=target)
    findings = [_worded(one, own, target) for one in desired.findings if one.file == own]
    _tell(root, own, findings)
    if any(one.severity is Severity.ERROR for one in findings):
        return 1
    made = [one for one in desired.deployments.values() if one.file == own]
    if not made:
        raise UsageError(f"{file} declares no deployment.")
    if target != own:
        _write(root / target, _content(manifest, posixpath.dirname(target), made), replace=replace)
    for one in made:
        click.echo(f"Created deployment {one.name!r} for {one.target}")
    flows = {one.target.path for one in made if hasattr(one.target, "path")}
    paths = [target, *sorted(path for path in flows if not path.startswith("../"))]
    click.echo(f"To put it in force: git add {shlex.join(paths)} && git commit")
    return 0


def _target(own: str, location: Location) -> str:
    """Where it is to be: where it is already, or in the deployments path."""
    if not location.path or own.startswith(f"{location.path}/"):
        return own
    stem, suffix = posixpath.splitext(posixpath.basename(own))
    return f"{location.path}/{stem}{'.yaml' if suffix == '.py' else suffix}"


def _manifest(root: Path, own: str) -> "ManifestFile":
    from controller.model.snapshots import ManifestFile, is_manifest, is_python

    if not is_manifest(own):
        raise UsageError(f"{own} is not YAML, JSON or Python.", hint="Its name ends in .yaml, .yml, .json or .py.")
    content = (root / own).read_bytes()
    if is_python(own):
        from controller.python_specs import Renderer
        from controller.settings import flow_environment

        content = Renderer(environment=flow_environment()).render(root, own).content
    return ManifestFile(path=own, content=content, digest="new")


def _judge(location: Location, manifest: "ManifestFile", *, without: str) -> "DesiredState":
    """What everything declares together with it."""
    from controller.clock import SystemClock
    from controller.manifests import ManifestReader
    from controller.settings import is_git_repository
    from controller.sources.directory.source import DirectorySource

    follow = not is_git_repository(location.directory)
    path = location.path if (location.directory / location.path).is_dir() else manifest.path
    source = DirectorySource(location.directory, path=path, follow_links=follow)
    snapshot = source.read(source.observe())
    others = [one for one in snapshot.files if one.path not in (manifest.path, without)]
    reader = ManifestReader(location.environment, all_environments=location.environment is None)
    files = sorted((*others, manifest), key=lambda one: one.path)
    return reader.read(files, SystemClock().now(), snapshot.project, source.code(snapshot.revision))


def _worded(finding: "Finding", own: str, target: str) -> "Finding":
    """With what to do where another file of the repository was made of this one, before it was renamed."""
    if finding.code != "DuplicateName" or own == target:
        return finding
    hint = f"{finding.hint}; if that file was made of this one, before it was renamed, remove it with git rm"
    return changed(finding, hint=hint)


def _tell(root: Path, own: str, findings: "list[Any]") -> None:
    if not findings:
        return
    from controller.cli.formats import text
    from controller.cli.formats.source_lines import source_lines

    here = os.path.relpath(root / own)
    contents = {here: (root / own).read_bytes()}
    click.echo(
        text.render([changed(one, file=here) for one in findings], source_lines(contents.get), width=120, color=False)
    )


def _content(manifest: "ManifestFile", folder: str, made: "list[Any]") -> str:
    """What is written: the same text with other locations, or the documents where there is no such text."""
    from controller.manifests import as_yaml
    from controller.manifests.yaml.loader import load
    from controller.model.snapshots import is_json, is_python

    own_folder = posixpath.dirname(manifest.path)

    def moved(location: str) -> str:
        return posixpath.relpath(posixpath.join(own_folder, location), folder or ".")

    if not is_python(manifest.path):
        text = manifest.content.decode()
        roots = [one.root for one in load(manifest.content, json=is_json(manifest.path)).documents]
        wanted = [node for root in roots if (node := root.fields.get("flow_location")) is not None]
        written = _rewritten(text, wanted, moved)
        if written is not None:
            return written
    documents = [dict(one.document) for one in made]
    for document in documents:
        if "flow_location" in document:
            document["flow_location"] = moved(document["flow_location"])
    return as_yaml(documents)


def _rewritten(text: str, wanted: "list[Node]", moved: Any) -> str | None:
    """The text with each of these values moved; None if one is not written on one line as it is."""
    lines = text.split("\n")
    for node in sorted(wanted, key=lambda one: one.place[:2], reverse=True):
        line, column = node.place.line - 1, node.place.column - 1
        rest = lines[line][column:]
        for old in (node.value, f'"{node.value}"', f"'{node.value}'"):
            if rest.startswith(old):
                new = moved(node.value)
                lines[line] = lines[line][:column] + (json.dumps(new) if old != node.value else new) + rest[len(old) :]
                break
        else:
            return None
    return "\n".join(lines)


def _write(target: Path, text: str, *, replace: bool) -> None:
    if target.exists() and not replace:
        raise UsageError(f"{target} exists already; nothing was written.", hint="--replace writes over it.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{target} can't be written: {error.strerror}.") from error
