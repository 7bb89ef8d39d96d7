"""The form of `--help`: one full line per command, and for each command two examples; location options come last."""

from collections.abc import Mapping, Sequence
from textwrap import fill

import click

LOCATION = frozenset({"repo", "path", "ref", "environment", "state_dir", "state_url", "project"})
"""The names of the options that `options.location` adds."""
_LONGEST_SUMMARY = 300
_ALL = "controller.help_all"


def _show_all_help(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        ctx.meta[_ALL] = True
        click.echo(ctx.get_help())
        ctx.exit()


_HELP_ALL = click.Option(
    ["--help-all"],
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_all_help,
    help="Show this message with the location options, and exit.",
)


class Command(click.Command):
    """A command whose help names the location options in one line, and ends with examples."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the parameters of this command, with `--help-all` if it has location options."""
        parameters = super().get_params(ctx)
        has_location = any(parameter.name in LOCATION for parameter in parameters)
        return [*parameters, _HELP_ALL] if has_location else parameters

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options of this command in full. Without `--help-all`, only name the location options."""
        options = [parameter for parameter in self.get_params(ctx) if isinstance(parameter, click.Option)]
        _write_options(ctx, formatter, "Options", [option for option in options if option.name not in LOCATION])
        shared = [option for option in options if option.name in LOCATION]
        if ctx.meta.get(_ALL):
            _write_options(ctx, formatter, "Location options", shared)
        elif shared:
            formatter.write_paragraph()
            text = f"Location options: {', '.join(option.opts[0] for option in shared)}. See --help-all."
            formatter.write(f"{fill(text, formatter.width, break_on_hyphens=False)}\n")

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples of this command."""
        from controller.cli.examples import EXAMPLES

        _, _, name = ctx.command_path.partition(" ")
        with formatter.section("Examples"):
            for line in EXAMPLES.get(name, ()):
                formatter.write(f"{'':{formatter.current_indent}}{line}\n")


class Group(click.Group):
    """A group that shows the whole summary of each command."""

    command_class = Command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one line per command."""
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        summaries = {
            name: command.get_short_help_str(_LONGEST_SUMMARY) for name, command in commands.items() if command
        }
        write_commands(formatter, {"Commands": summaries})


def write_commands(formatter: click.HelpFormatter, sections: Mapping[str, Mapping[str, str]]) -> None:
    """Write these sections of commands, each with its summary; all summaries begin in the same column."""
    width = max(len(name) for commands in sections.values() for name in commands)
    for title, commands in sections.items():
        with formatter.section(title):
            formatter.write_dl([(f"{name:{width}}", summary) for name, summary in commands.items()])


def write_location_options(ctx: click.Context, formatter: click.HelpFormatter) -> None:
    """Write the options that all commands have which use a repository."""
    from controller.cli import options

    @click.command()
    @options.location
    def command(**_: object) -> None: ...

    _write_options(ctx, formatter, "Location options of all commands that use a repository", command.params)


def _write_options(
    ctx: click.Context, formatter: click.HelpFormatter, title: str, options: Sequence[click.Parameter]
) -> None:
    records = [record for option in options if (record := option.get_help_record(ctx)) is not None]
    if records:
        with formatter.section(title):
            formatter.write_dl(records)
