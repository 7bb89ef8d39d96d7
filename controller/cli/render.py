"""`controller render`: print the documents as they would be applied, after defaults and overlay. Runs no code."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from controller.cli import complete, options
from controller.cli.help_pages import Command
from controller.cli.json_output import print_json
from controller.settings import Location
from controller.text import visible_lines

if TYPE_CHECKING:
    from controller.manifests.reader import DesiredState
    from controller.model.deployments import Deployment
    from controller.model.findings import Finding


@click.command(cls=Command)
@click.argument("name", required=False, shell_complete=complete.deployments)
@options.output
@options.location
def render(location: Location, name: str | None, output: str) -> int:
    """Print documents with defaults and overlay applied.

    Prints all documents, or the deployment NAME. Exit 1 if one is not valid.
    """
    from controller.cli.manifest_files import Target, read_desired_state
    from controller.model.findings import Severity

    desired = read_desired_state([Target(location.directory, location.path)], location)
    deployments, findings = _select(desired, name)
    if deployments or name is None:
        _print(deployments, output, is_single=name is not None)
    for finding in findings:
        _print_finding(finding)
    return 1 if any(finding.severity is Severity.ERROR for finding in findings) else 0


def _select(desired: "DesiredState", name: str | None) -> "tuple[list[Deployment], list[Finding]]":
    """Return the deployments to print and the errors to report. Raises NotFoundError for an undeclared name."""
    from controller.cli.manifest_files import unknown_name
    from controller.model.findings import Severity

    errors = [finding for finding in desired.findings if finding.severity is Severity.ERROR]
    if name is None:
        return list(desired.deployments.values()), errors
    deployment = desired.deployments.get(name)
    if deployment is not None:
        return [deployment], []
    if name not in desired.declared_names:
        raise unknown_name(name, desired)
    return [], [finding for finding in errors if finding.deployment == name] or errors


def _print(deployments: "Sequence[Deployment]", output: str, *, is_single: bool) -> None:
    documents = [deployment.document for deployment in deployments]
    if output == "json":
        print_json(documents[0] if is_single else documents)
        return
    from controller.manifests.yaml.dump import as_yaml

    click.echo(as_yaml(documents), nl=False)


def _print_finding(finding: "Finding") -> None:
    place = f"{finding.file}:{finding.line}:{finding.column}"
    click.echo(visible_lines(f"{place}: {finding.severity}: {finding.message} [{finding.code}]"), err=True)
    if finding.hint is not None:
        click.echo(visible_lines(f"    hint: {finding.hint}"), err=True)
