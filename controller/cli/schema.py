"""`controller schema`: the JSON Schemas of the format, for editors and other tools."""

import click

from controller.cli import options


@click.command()
@click.argument("which", type=click.Choice(["deployment", "project"]), default="deployment")
@options.output
def schema(which: str, output: str) -> None:  # noqa: ARG001
    """Print the JSON Schema of a deployment, or of the project's controller.yaml; it is JSON in either form."""
    from controller.manifests import schema_text

    click.echo(schema_text(which), nl=False)
