"""`controller version`: print the versions of controller, Python and the main libraries."""

from pathlib import Path

import click

from controller import __version__
from controller.cli import options
from controller.cli.help_pages import Command

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

    versions = {"controller": __version__, "python": platform.python_version()}
    versions |= {part: found for part in _PARTS if (found := _installed_version(part)) is not None}
    if output == "json":
        from controller.cli.json_output import print_json

        print_json(versions)
        return
    for name, value in versions.items():
        click.echo(f"{name:12} {value}")


def _installed_version(part: str) -> str | None:
    """Return the version of an installed package, or None.

    The name of its folder says it. Only for a package without one is `importlib.metadata` loaded, which takes longer
    than the rest of the command.
    """
    for folder in Path(click.__file__).parents[1].glob("*.dist-info"):
        package, _, number = folder.stem.partition("-")
        if package.lower() == part:
            return number
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed(part)
    except PackageNotFoundError:
        return None
