"""`controller runs cancel` and `runs retry` with filters instead of an ID: select runs, ask, send requests."""

import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from controller.cli import complete, options
from controller.cli.state_access import check_names, connected_client, read_state, zone_of
from controller.errors import UsageError
from controller.settings import Location
from controller.text import format_count, visible_lines

if TYPE_CHECKING:
    from controller.client import Client
    from controller.client.shapes import BulkResult
    from controller.model.runs import Run, RunState
    from controller.queries.run_selection import LeftOut
    from controller.store import Transaction
    from controller.store.run_search import RunFilter

PAGE = 250
"""The number of runs in one request. The controller handles them within the timeout of a response."""
_DEPLOYMENTS_SHOWN = 10

Send = Callable[["Client", Sequence[str]], "BulkResult"]


def filter_options(states: Sequence[str], default: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that adds the filters, and `--yes`, to a command that acts on runs in one of these states."""
    added = (
        click.option(
            "--deployment", metavar="NAME", help="All runs of this deployment.", shell_complete=complete.deployments
        ),
        click.option(
            "--state",
            type=options.NearChoice(states),
            multiple=True,
            help=f"All runs in this state. Repeatable. [default: {default}]",
        ),
        click.option("--tag", metavar="TAG", help="All runs with this tag.", shell_complete=complete.tags),
        click.option("--since", metavar="TIME", help="All runs created at or after this time: yesterday, 2h, a date."),
        click.option(
            "--backfill",
            metavar="ID",
            help="All runs of this backfill; an abbreviated id is enough.",
            shell_complete=complete.backfills,
        ),
        click.option("--yes", is_flag=True, help="Do not ask before changing all runs that match the filters."),
    )

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(added):
            command = option(command)
        return command

    return add


def needs_filters(run_id: str | None, filters: Mapping[str, Any]) -> bool:
    """Return whether filters select the runs, instead of an ID. Raises UsageError for both or neither."""
    has_filters = any(filters.values())
    if run_id is not None and has_filters:
        raise UsageError("Pass the ID of one run, or filters, but not both.")
    if run_id is None and not has_filters:
        raise UsageError(
            "Which runs?", hint="Pass the ID of one run, or a filter such as --deployment, --state or --since."
        )
    return has_filters


def cancel_matching(location: Location, filters: Mapping[str, Any], reason: str, *, yes: bool, output: str) -> int:
    """Cancel the unfinished runs that match, and return the exit code."""
    from controller.model.runs import ACTIVE
    from controller.store.run_search import select_all

    with read_state(location) as tx:
        matches = select_all(tx, _run_filter(tx, location, filters, ACTIVE))[::-1]
    if not _confirm("Cancel", matches, yes=yes):
        return 1
    return _send(location, matches, (), lambda client, run_ids: client.cancel_many(run_ids, reason), output)


def retry_matching(location: Location, filters: Mapping[str, Any], *, latest: bool, yes: bool, output: str) -> int:
    """Retry the finished runs that match, and return the exit code."""
    import secrets

    from controller.model.runs import FAILURES
    from controller.queries.run_selection import select_for_retry

    with read_state(location) as tx:
        selection = select_for_retry(tx, _run_filter(tx, location, filters, FAILURES))
    _print_left_out(selection.left_out)
    if not _confirm("Retry", selection.runs, yes=yes):
        return 1
    key = secrets.token_hex(16)

    def send(client: "Client", run_ids: Sequence[str]) -> "BulkResult":
        return client.retry_many(run_ids, latest=latest, idempotency_key=key)

    return _send(location, selection.runs, selection.left_out, send, output)


def _run_filter(
    tx: "Transaction", location: Location, filters: Mapping[str, Any], default: "frozenset[RunState]"
) -> "RunFilter":
    from controller.clock import SystemClock
    from controller.model.runs import RunState
    from controller.queries.backfills import find_backfill
    from controller.queries.runs import stored_states
    from controller.store.run_search import RunFilter

    deployment, tag, since, backfill = (filters[name] for name in ("deployment", "tag", "since", "backfill"))
    check_names(tx, deployment, tag)
    states = [state for name in filters["state"] for state in stored_states(RunState(name))]
    first: datetime | None = None
    if since is not None:
        first = options.parse_time_option("--since", since, SystemClock().now(), zone_of(location, deployment))
    return RunFilter(
        deployment=deployment,
        states=states or default,
        tag=tag,
        since=first,
        backfill=None if backfill is None else find_backfill(tx, backfill).id,
    )


def _confirm(action: str, matches: "Sequence[Run]", *, yes: bool) -> bool:
    """Print which runs match, and ask whether to change them. Raises UsageError if there is no terminal to ask on."""
    if not matches:
        click.echo("No runs match.", err=True)
        return True
    states: dict[str, Counter[str]] = {}
    for run in matches:
        states.setdefault(run.deployment, Counter())[run.state.public] += 1
    click.echo(f"{format_count(len(matches), 'run')} {'matches' if len(matches) == 1 else 'match'}:", err=True)
    for name in sorted(states)[:_DEPLOYMENTS_SHOWN]:
        counts = ", ".join(f"{count} {state}" for state, count in sorted(states[name].items()))
        click.echo(visible_lines(f"  {name}: {counts}"), err=True)
    if len(states) > _DEPLOYMENTS_SHOWN:
        click.echo(f"  … and {format_count(len(states) - _DEPLOYMENTS_SHOWN, 'more deployment')}", err=True)
    question = f"{action} {format_count(len(matches), 'run')}?"
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError(f"{question} Standard input is not a terminal, so you cannot answer.", hint="Pass --yes.")
    return click.confirm(question, err=True)


def _print_left_out(left_out: "Sequence[LeftOut]") -> None:
    for reason, count in sorted(Counter(run.reason for run in left_out).items()):
        click.echo(f"Left out: {count}, because {reason}.", err=True)


def _send(location: Location, matches: "Sequence[Run]", left_out: "Sequence[LeftOut]", send: Send, output: str) -> int:
    """Send the requests, page by page, and print the result for each run."""
    results: list[Mapping[str, Any]] = []
    for start in range(0, len(matches), PAGE):
        with connected_client(location) as client:
            page = send(client, [run.id for run in matches[start : start + PAGE]])["runs"]
        for result in page:
            if result["reason"] is not None:
                click.echo(visible_lines(f"{result['run_id']}: {result['reason']}"), err=True)
            elif output == "text":
                click.echo(f"{result['run_id']} {result['state']}")
        results += page
    if output == "json":
        from controller.cli.json_output import print_json

        count = sum(result["reason"] is None for result in results)
        print_json({"count": count, "runs": results, "left_out": left_out})
    return 1 if results and all(result["reason"] is not None for result in results) else 0
