"""`controller validate`: report everything that is wrong with the manifests on disk. Made for CI.

It imports no flows, opens no connections and runs no code, except Python specs with `--render-python`. With `--resolve`
it runs uv, which asks the package index.
"""

import gc
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from controller.cli import options
from controller.cli.help_pages import Command
from controller.clock import SystemClock
from controller.errors import UsageError
from controller.settings import Location, UvSettings
from controller.text import format_count

if TYPE_CHECKING:
    from controller.cli.manifest_files import Reading
    from controller.model.findings import Finding
    from controller.queries.declared_deployments import DeclaredView
    from controller.sources.source import Source

_FORMATS = ["text", "json", "github", "sarif"]
_PIPED_WIDTH = 120


@click.command(cls=Command)
@click.argument("paths", metavar="[PATH]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Choice(_FORMATS), default="text", show_default=True, help="Output format.")
@click.option(
    "-v", "--verbose", is_flag=True, help="Also print what is declared and when it fires next. Only with text and JSON."
)
@click.option(
    "--render-python",
    is_flag=True,
    help="Execute Python specs and check what they declare. Without it, each gives a warning.",
)
@click.option(
    "--resolve",
    is_flag=True,
    help="Also resolve the requirements of Python environments that have no lock, with the package index. "
    "Installs nothing.",
)
@click.option(
    "--notify-config",
    metavar="FILE",
    envvar="CONTROLLER_NOTIFY_CONFIG",
    type=click.Path(path_type=Path),
    help="File with the operator's channels, to check the names in notify. [default: ~/.config/controller/notify.yaml]",
)
@options.uv
@partial(options.location, needs_project=False)
def validate(
    location: Location,
    paths: tuple[Path, ...],
    output: str,
    uv: UvSettings,
    notify_config: Path | None,
    *,
    verbose: bool,
    render_python: bool,
    resolve: bool,
) -> int:
    """Check manifests and report everything that is wrong.

    PATH is a file or directory; by default, the deployments of the repository are checked. Every environment is
    checked, or only the one named with --environment. Exit 1 if there are errors.
    """
    from controller.cli.channel_check import find_undeclared
    from controller.cli.manifest_files import Target, read_manifests, resolve_targets
    from controller.model.findings import Severity, by_place

    gc.set_threshold(500_000)  # parsing creates many objects, and hardly any garbage that needs a collection
    if verbose and output in ("github", "sarif"):
        raise UsageError(f"--verbose cannot be used with -o {output}, only with text and json.")
    selected = list(resolve_targets(paths, location)) if paths else [Target(location.directory, location.path)]
    render, every = execute_python_specs if render_python else None, location.environment is None
    reading = read_manifests(
        selected, location, is_whole=not paths, all_environments=every, render=render, is_stored=verbose or resolve
    )
    more = find_undeclared(reading, location.environment, notify_config)
    if resolve:
        from controller.cli.requirements_check import find_unresolved

        more += find_unresolved(reading, location.environment, uv)
    if more:
        all_findings = tuple(sorted((*reading.desired.findings, *more), key=by_place))
        reading = replace(reading, desired=replace(reading.desired, findings=all_findings))
    findings = reading.desired.findings
    is_valid = not any(finding.severity is Severity.ERROR for finding in findings)
    base = selected[0].root if len({target.root for target in selected}) == 1 else None
    desired = reading.desired
    counts = {"files": desired.file_count, "deployments": len(desired.deployments), "disabled": len(desired.disabled)}
    if output == "sarif":
        from controller import __version__
        from controller.cli.formats import sarif

        click.echo(sarif.render(findings, version=__version__))
    elif output == "github":
        from controller.cli.formats import github

        _print(github.render(findings), findings, counts)
    elif output == "json":
        from controller.cli.json_output import print_json

        report = {"valid": is_valid, **counts, "findings": [_finding_fields(finding, base) for finding in findings]}
        print_json({**report, "declared": _declarations(reading, base)} if verbose else report)
    else:
        _print(_text(reading, base), findings, counts, declared=_declarations(reading, base) if verbose else ())
    return 0 if is_valid else 1


def execute_python_specs(source: "Source") -> "Source":
    """Wrap the source so that its Python specs are executed in the same way as by the controller."""
    from controller.python_specs import RenderedSource, Renderer
    from controller.settings import flow_environment

    return RenderedSource(source, Renderer(environment=flow_environment()))


def _text(reading: "Reading", base: Path | None) -> str:
    if not reading.desired.findings:
        return ""
    import shutil
    import sys

    from controller.cli.formats import text
    from controller.cli.formats.source_lines import source_lines

    contents = {_from_here(path, base): content for path, content in reading.contents.items()}
    findings = [replace(finding, file=_from_here(finding.file, base)) for finding in reading.desired.findings]
    is_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if is_terminal else _PIPED_WIDTH
    return text.render(findings, source_lines(contents.get), width=width, color=is_terminal)


def _declarations(reading: "Reading", base: Path | None) -> "list[DeclaredView]":
    from controller.queries.declared_deployments import declared_views

    views = declared_views(reading.desired, SystemClock().now())
    return [replace(view, file=_from_here(view.file, base)) for view in views]


def _finding_fields(finding: "Finding", base: Path | None) -> dict[str, Any]:
    return {
        "severity": finding.severity.value,
        "code": finding.code,
        "message": finding.message,
        "hint": finding.hint,
        "file": _from_here(finding.file, base),
        "line": finding.line,
        "column": finding.column,
        "path": finding.path,
        "deployment": finding.deployment,
    }


def _from_here(file: str, base: Path | None) -> str:
    """Return the file relative to the current directory, or as an absolute path if it is not below it."""
    if base is None:
        return file
    full = base / file
    try:
        here = Path.cwd()
    except FileNotFoundError:
        return str(full)
    return str(full.relative_to(here) if full.is_relative_to(here) else full)


def _print(
    text: str, findings: "Iterable[Finding]", counts: dict[str, int], declared: "Sequence[DeclaredView]" = ()
) -> None:
    if text:
        click.echo(text)
    if declared:
        from controller.cli.formats.declared_list import render

        click.echo(render(declared))
    severities = [finding.severity.value for finding in findings]
    disabled = [f"{counts['disabled']} not enabled"] if counts["disabled"] else []
    click.echo(
        ", ".join(
            (
                format_count(counts["files"], "file"),
                format_count(counts["deployments"], "valid deployment"),
                *disabled,
                format_count(severities.count("error"), "error"),
                format_count(severities.count("warning"), "warning"),
            )
        ),
        err=True,
    )
