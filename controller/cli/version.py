"""`controller version`: of the controller and of what it stands on."""

import click

from controller import __version__
from controller.cli import options

_PARTS = ("apscheduler", "sqlalchemy", "gitpython", "jsonschema", "pyyaml", "watchdog", "rich", "cronsim", "tzdata")


@click.command()
@options.output
def version(output: str) -> None:
    """Say which versions are at work."""
    import platform
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    found = {"controller": __version__, "python": platform.python_version()}
    for part in _PARTS:
        try:
            found[part] = installed(part)
        except PackageNotFoundError:
            continue
    if output == "json":
        from controller.cli.json_output import print_json

        print_json(found)
        return
    for name, value in found.items():
        click.echo(f"{name:12} {value}")
