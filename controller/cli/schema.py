"""`controller schema`: the JSON Schema of the deployment format, for editors and other tools."""

import click


@click.command()
@click.argument("which", type=click.Choice(["deployment"]), default="deployment")
def schema(which: str) -> None:  # noqa: ARG001
    """Print the JSON Schema of a deployment."""
    from controller.manifests import deployment_schema_text

    click.echo(deployment_schema_text(), nl=False)
