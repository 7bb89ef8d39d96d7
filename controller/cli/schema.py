"""`controller schema`: print the JSON Schemas of the manifest format, for editors and other tools."""

import click

from controller.cli import options
from controller.cli.help_pages import Command


@click.command(cls=Command)
@click.argument("which", type=click.Choice(["deployment", "project", "notify"]), default="deployment")
@options.output
def schema(which: str, output: str) -> None:  # noqa: ARG001
    """Print the JSON Schema of a file that controller reads.

    The files are those of deployments, controller.yaml and notify.yaml. Both output formats print JSON.
    """
    from controller.manifests.schema_validation import schema_text

    click.echo(schema_text(which), nl=False)
