"""`controller explain CODE`: explain the meaning of a finding or a reason, and what to do. Reads no files."""

from typing import TYPE_CHECKING

import click

from controller.cli import complete, options
from controller.cli.help_pages import Command
from controller.cli.json_output import print_json
from controller.errors import UsageError
from controller.text import did_you_mean

if TYPE_CHECKING:
    from controller.cli.formats.explanations import Explanation


@click.command(cls=Command)
@click.argument("code", required=False, shell_complete=complete.codes)
@options.output
def explain(code: str | None, output: str) -> None:
    """Explain the code of a finding, or the reason of a skip, a condition, an event, a refused request or an error.

    Without CODE, list all codes and reasons.
    """
    from controller.cli.formats import explanations

    if code is None:
        everything = [explanations.explain(each) for each in explanations.codes()]
        _print_all([entry for entry in everything if entry is not None], output)
        return
    explanation, reason = explanations.explain(code), explanations.explain_reason(code)
    if explanation is None and reason is None:
        raise _unknown_code_error(code)
    if output == "json":
        print_json(explanation or reason)
    elif explanation is not None:
        click.echo(explanations.as_text(explanation))
    elif reason is not None:
        click.echo(explanations.reason_as_text(reason))


def _print_all(entries: "list[Explanation]", output: str) -> None:
    from controller.cli.formats.explanations import reasons

    if output == "json":
        print_json([*entries, *reasons()])
        return
    width = max(len(code) for code in (*(entry.code for entry in entries), *(reason.code for reason in reasons())))
    for entry in entries:
        click.echo(f"{entry.code:{width}} {entry.summary}")
    click.echo("\nReasons of conditions, skipped due times, events, refused requests and errors:")
    for reason in reasons():
        click.echo(f"{reason.code:{width}} {reason.summary}")


def _unknown_code_error(code: str) -> UsageError:
    from controller.cli.formats.explanations import codes, reasons

    names = (*codes(), *(reason.code for reason in reasons()))
    hint = did_you_mean(code, names) or "`controller explain` lists all codes and reasons"
    return UsageError(f"Unknown code or reason {code}.", hint=hint)
