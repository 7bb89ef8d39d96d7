"""`controller version`: print the versions of controller, Python and the main libraries."""

import click

from controller import __version__
from controller.cli import options
from controller.cli.help_pages import Command
from controller.cli.json_output import print_json

_PARTS = (
    "apscheduler",
    "sqlalchemy",
    "gitpython",
    "jsonschema",
    "pyyaml",
    "watchdog",
    "rich",
    "cronsim",
    "tzdata",
    "holidays",
)


@click.command(cls=Command)
@options.output
def version(output: str) -> None:
    """Print the versions of controller and its libraries."""
    import platform
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    versions = {"controller": __version__, "python": platform.python_version()}
    for part in _PARTS:
        try:
            versions[part] = installed(part)
        except PackageNotFoundError:
            continue
    if output == "json":
        print_json(versions)
        return
    for name, value in versions.items():
        click.echo(f"{name:12} {value}")
