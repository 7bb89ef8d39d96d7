"""`controller explain CODE`: what a finding means and what to do about it. It reads nothing."""

from typing import TYPE_CHECKING

import click

from controller.cli import options
from controller.errors import UsageError

if TYPE_CHECKING:
    from controller.cli.formats.explanations import Explanation


@click.command()
@click.argument("code", required=False)
@options.output
def explain(code: str | None, output: str) -> None:
    """Explain a finding's code; without one, list them all."""
    from controller.cli.formats import explanations

    if code is None:
        found = [explanations.explain(each) for each in explanations.codes()]
        _print_all([one for one in found if one is not None], output)
        return
    explanation = explanations.explain(code)
    if explanation is None:
        raise _unknown(code)
    if output == "json":
        from controller.cli.json_output import print_json

        print_json(explanation)
    else:
        click.echo(explanations.as_text(explanation))


def _print_all(found: "list[Explanation]", output: str) -> None:
    if output == "json":
        from controller.cli.json_output import print_json

        print_json(found)
        return
    for one in found:
        click.echo(f"{one.code:22} {one.summary}")


def _unknown(code: str) -> UsageError:
    from difflib import get_close_matches

    from controller.cli.formats.explanations import codes

    by_lower = {each.lower(): each for each in codes()}
    near = get_close_matches(code[:60].lower(), by_lower, 1)
    hint = f"did you mean {by_lower[near[0]]}?" if near else "controller explain lists them all"
    return UsageError(f"There is no finding with the code {code}.", hint=hint)
