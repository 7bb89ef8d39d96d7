"""`controller schema`: the JSON Schema of the deployment format, for editors and other tools."""

import click

from controller.cli import options


@click.command()
@click.argument("which", type=click.Choice(["deployment"]), default="deployment")
@options.output
def schema(which: str, output: str) -> None:  # noqa: ARG001
    """Print the JSON Schema of a deployment; it is JSON in either form."""
    from controller.manifests import deployment_schema_text

    click.echo(deployment_schema_text(), nl=False)
