"""`controller explain CODE`: explain the meaning of a finding and how to fix it. Reads no files."""

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
    """Explain the code of a finding.

    Without CODE, list all codes.
    """
    from controller.cli.formats import explanations

    if code is None:
        everything = [explanations.explain(each) for each in explanations.codes()]
        _print_all([entry for entry in everything if entry is not None], output)
        return
    explanation = explanations.explain(code)
    if explanation is None:
        raise _unknown_code_error(code)
    if output == "json":
        print_json(explanation)
    else:
        click.echo(explanations.as_text(explanation))


def _print_all(entries: "list[Explanation]", output: str) -> None:
    if output == "json":
        print_json(entries)
        return
    for entry in entries:
        click.echo(f"{entry.code:22} {entry.summary}")


def _unknown_code_error(code: str) -> UsageError:
    from controller.cli.formats.explanations import codes, find_page

    page = find_page(code)
    if page is not None:
        return UsageError(f"{code} is the reason of a condition, not the code of a finding.", hint=f"see {page}")
    hint = did_you_mean(code, codes()) or "`controller explain` lists all codes"
    return UsageError(f"Unknown finding code {code}.", hint=hint)
