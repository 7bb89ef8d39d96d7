"""Generate the option tables of docs/cli.md from the options of the commands. All other text of the page is kept.

A table is generated where the section of a command, or the one about location options, has a table of options. Facts
that do not fit a help text are written below it by hand.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import click

from controller.cli.main import cli

FILE = "docs/cli.md"
SHARED = frozenset({"repo", "path", "ref", "environment", "state_dir", "state_url", "project"})
_PAGE = Path(__file__).parents[2] / FILE
_TABLE = re.compile(r"^\| option \|.*\n(?:\|.*\n)+", re.MULTILINE)
_OPTION = re.compile(r"(?<![\w`-])(--[a-z][a-z-]*)")


def generate() -> str:
    """Return the text of the page."""
    parts = re.split(r"^(?=## )", _PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return "".join(_TABLE.sub(lambda _, part=part: "".join(_table(_options(part))), part, count=1) for part in parts)


def leaves(command: click.Command = cli, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Yield each command that is not a group, with its full name."""
    if not isinstance(command, click.Group):
        yield " ".join(path), command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        child = command.get_command(context, name)
        assert child is not None
        yield from leaves(child, (*path, name))


def command_name(title: str) -> str:
    """Return the command of a heading: `deployments show` for "`controller deployments show NAME`"."""
    return " ".join(re.findall(r"(?<![\[\w|])[a-z]+(?![\w\]|])", title.removeprefix("`controller ").rstrip("`")))


def _options(section: str) -> list[click.Option]:
    """The options of the table in this section: the shared ones, or those that only this command has."""
    title = section.partition("\n")[0].removeprefix("## ")
    is_shared = title == "Location options"
    command = dict(leaves())["run" if is_shared else command_name(title)]
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    return [option for option in options if (option.name in SHARED) is is_shared and not _is_output(option)]


def _is_output(option: click.Option) -> bool:
    return (
        option.name == "output"
        and isinstance(option.type, click.Choice)
        and set(option.type.choices) == {"text", "json"}
    )


def _table(options: list[click.Option]) -> Iterator[str]:
    has_variable = any(option.envvar for option in options)
    yield "| option | variable | meaning |\n|---|---|---|\n" if has_variable else "| option | meaning |\n|---|---|\n"
    for option in options:
        variable = f"{f'`{option.envvar}`' if option.envvar else ''} | ".removeprefix(" ") if has_variable else ""
        yield f"| {_names(option)} | {variable}{_meaning(option)} |\n"


def _names(option: click.Option) -> str:
    first, *others = (*sorted(option.opts, key=len), *option.secondary_opts)
    return ", ".join([f"`{first}{_value(option)}`", *(f"`{name}`" for name in others)])


def _value(option: click.Option) -> str:
    if option.is_flag:
        return ""
    if option.metavar is None and isinstance(option.type, click.Choice):
        return " " + r"\|".join(option.type.choices)
    return " " + (option.metavar or "N").replace("|", r"\|")


def _meaning(option: click.Option) -> str:
    text, _, default = str(option.help).rstrip("]").partition(" [default: ")
    if option.show_default and not option.is_flag:
        default = f"`{option.default}`"
    text = _OPTION.sub(r"`\1`", text) + (" Required." if option.required else "")
    return f"{text} Default: {default}." if default else text
