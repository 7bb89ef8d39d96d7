"""`controller validate`: everything that is wrong with the manifests on disk, at once. Made for CI.

It imports no flow, opens no connection and runs nothing.
"""

from pathlib import Path
from typing import Any

import click

from controller.cli import options
from controller.settings import Location


@click.command()
@click.argument("paths", metavar="[PATH]...", nargs=-1, type=click.Path(path_type=Path))
@options.output
@options.location
def validate(location: Location, paths: tuple[Path, ...], output: str) -> int:
    """Check manifests: files, directories, or the deployments of a repository. Exit 1 if any is bad."""
    from controller.cli.files import Target, read_targets, targets
    from controller.model.findings import Severity

    wanted = list(targets(paths, location)) if paths else [Target(location.repo, location.path)]
    desired = read_targets(wanted, location)
    is_valid = not any(finding.severity is Severity.ERROR for finding in desired.findings)
    roots = {target.root for target in wanted}
    base = roots.pop() if len(roots) == 1 else None
    findings = [_shown(finding, base) for finding in desired.findings]
    counts = {"files": desired.file_count, "deployments": len(desired.deployments)}
    if output == "json":
        from controller.cli.output import print_json

        print_json({"valid": is_valid, **counts, "findings": findings})
    else:
        _print(findings, counts)
    return 0 if is_valid else 1


def _shown(finding: Any, base: Path | None) -> dict[str, Any]:
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
    """The file by a path that works from the current directory, where there is one below it."""
    if base is None:
        return file
    full = base / file
    here = Path.cwd()
    return str(full.relative_to(here) if full.is_relative_to(here) else full)


def _print(findings: list[dict[str, Any]], counts: dict[str, int]) -> None:
    from controller.cli.output import counted, visible

    for finding in findings:
        where = f"{finding['file']}:{finding['line']}:{finding['column']}"
        click.echo(visible(f"{where}: {finding['severity']}: {finding['message']} [{finding['code']}]"))
        if finding["hint"]:
            click.echo(visible(f"    hint: {finding['hint']}"))
    errors = sum(finding["severity"] == "error" for finding in findings)
    click.echo(
        ", ".join(
            (
                counted(counts["files"], "file"),
                counted(counts["deployments"], "valid deployment"),
                counted(errors, "error"),
                counted(len(findings) - errors, "warning"),
            )
        ),
        err=True,
    )
