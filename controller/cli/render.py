"""`controller render`: the documents as they are in force, after defaults and overlay. It runs nothing."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from controller.cli import options
from controller.settings import Location

if TYPE_CHECKING:
    from controller.manifests import DesiredState
    from controller.model.deployments import Deployment
    from controller.model.findings import Finding


@click.command()
@click.argument("name", required=False)
@options.output
@options.location
def render(location: Location, name: str | None, output: str) -> int:
    """Print the documents after defaults and overlay: all, or the one of this name. Exit 1 if any is bad."""
    from controller.cli.manifest_files import Target, read_targets
    from controller.model.findings import Severity

    desired = read_targets([Target(location.directory, location.path)], location)
    found, findings = _chosen(desired, name)
    if found or name is None:
        _print(found, output, is_single=name is not None)
    for finding in findings:
        _complain(finding)
    return 1 if any(finding.severity is Severity.ERROR for finding in findings) else 0


def _chosen(desired: "DesiredState", name: str | None) -> "tuple[list[Deployment], list[Finding]]":
    """What to print, and what is wrong with the rest. Raises NotFoundError."""
    from controller.errors import unknown_deployment
    from controller.model.findings import Severity

    errors = [finding for finding in desired.findings if finding.severity is Severity.ERROR]
    if name is None:
        return list(desired.deployments.values()), errors
    deployment = desired.deployments.get(name)
    if deployment is not None:
        return [deployment], []
    if name not in desired.declared_names:
        raise unknown_deployment(name, desired.declared_names)
    return [], [finding for finding in errors if finding.deployment == name] or errors


def _print(found: "Sequence[Deployment]", output: str, *, is_single: bool) -> None:
    documents = [deployment.document for deployment in found]
    if output == "json":
        from controller.cli.json_output import print_json

        print_json(documents[0] if is_single else documents)
        return
    from controller.manifests import as_yaml

    click.echo(as_yaml(documents), nl=False)


def _complain(finding: "Finding") -> None:
    from controller.cli.json_output import visible

    place = f"{finding.file}:{finding.line}:{finding.column}"
    click.echo(visible(f"{place}: {finding.severity}: {finding.message} [{finding.code}]"), err=True)
    if finding.hint is not None:
        click.echo(visible(f"    hint: {finding.hint}"), err=True)
