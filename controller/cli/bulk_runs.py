"""`controller runs cancel` and `runs retry` with filters instead of an ID: select runs, ask, send requests."""

import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from controller.cli import complete, options
from controller.cli.state_access import check_names, connected_client, read_state, zone_of
from controller.errors import UsageError
from controller.settings import Location
from controller.text import format_count, visible_lines

if TYPE_CHECKING:
    from controller.client import Client
    from controller.client.shapes import BulkMatches, BulkResult

_DEPLOYMENTS_SHOWN = 10

Send = Callable[..., "BulkResult"]
"""Sends one request with a client, and with `dry_run` or `cursor`."""


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
    request = _request(location, filters)
    if filters["backfill"] and any(value for name, value in filters.items() if name != "backfill"):
        hint = f"controller backfills cancel {request['backfill'][-12:]}"
        click.echo(f"The backfill continues with its other due times. To cancel it, run `{hint}`.", err=True)

    def send(client: "Client", **page: Any) -> "BulkResult":
        return client.cancel_matching(reason, **request, **page)

    return _change(location, "Cancel", send, yes=yes, output=output)


def retry_matching(location: Location, filters: Mapping[str, Any], *, latest: bool, yes: bool, output: str) -> int:
    """Retry the finished runs that match, and return the exit code."""
    import secrets

    request, key = _request(location, filters), secrets.token_hex(16)

    def send(client: "Client", **page: Any) -> "BulkResult":
        return client.retry_matching(latest=latest, idempotency_key=key, **request, **page)

    return _change(location, "Retry", send, yes=yes, output=output)


def _request(location: Location, filters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the filters as the API takes them. Raises NotFoundError for unknown names and ids."""
    from controller.clock import SystemClock
    from controller.queries.backfills import find_backfill

    deployment, tag, since, backfill = (filters[name] for name in ("deployment", "tag", "since", "backfill"))
    with read_state(location) as tx:
        check_names(tx, deployment, tag)
        backfill_id = None if backfill is None else find_backfill(tx, backfill).id
    if since is not None:
        moment = options.parse_time_option("--since", since, SystemClock().now(), zone_of(location, deployment))
        since = moment.isoformat()
    states = list(filters["state"]) or None
    return {"deployment": deployment, "state": states, "tag": tag, "since": since, "backfill": backfill_id}


def _change(location: Location, action: str, send: Send, *, yes: bool, output: str) -> int:
    """Count the runs, ask, send the requests page by page, and print the result for each run."""
    with connected_client(location) as client:
        page = send(client, dry_run=True)
    _print_left_out(page["matches"])
    if not _confirm(action, page, yes=yes):
        return 1
    results: list[Mapping[str, Any]] = []
    left_out, due_times, is_last = page["left_out"], 0, not page["count"] and not page["due_times"]
    if not is_last:
        left_out = []
    while not is_last:
        with connected_client(location) as client:
            page = send(client, cursor=page["next"])
        _print_results(page, output)
        results += page["runs"]
        left_out, due_times, is_last = left_out + page["left_out"], due_times + page["due_times"], page["next"] is None
    if due_times:
        click.echo(f"The backfill is cancelled: {format_count(due_times, 'due time')} will get no run.", err=True)
    if output == "json":
        from controller.cli.json_output import print_json

        count = sum(result["reason"] is None for result in results)
        print_json({"count": count, "runs": results, "left_out": left_out, "due_times": due_times})
    return 1 if results and all(result["reason"] is not None for result in results) else 0


def _confirm(action: str, counts: "BulkResult", *, yes: bool) -> bool:
    """Print which runs match, and ask whether to change them. Raises UsageError if there is no terminal to ask on."""
    due_times = counts["due_times"]
    if not counts["count"] and not due_times:
        click.echo("No runs match.", err=True)
        return True
    if counts["count"]:
        _print_matches(counts)
    parts = [format_count(counts["count"], "run")] if counts["count"] else []
    if due_times:
        parts.append(f"{format_count(due_times, 'due time')} without a run yet")
    question = f"{action} {'the backfill with ' if due_times else ''}{' and '.join(parts)}?"
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError(f"{question} Standard input is not a terminal, so you cannot answer.", hint="Pass --yes.")
    return click.confirm(question, err=True)


def _print_matches(counts: "BulkResult") -> None:
    """Print the number of runs by deployment and state."""
    states: dict[str, list[str]] = {}
    for match in counts["matches"]:
        if match["reason"] is None:
            states.setdefault(match["deployment"], []).append(f"{match['count']} {match['state']}")
    click.echo(f"{format_count(counts['count'], 'run')} {'matches' if counts['count'] == 1 else 'match'}:", err=True)
    for name in sorted(states)[:_DEPLOYMENTS_SHOWN]:
        click.echo(visible_lines(f"  {name}: {', '.join(states[name])}"), err=True)
    if len(states) > _DEPLOYMENTS_SHOWN:
        click.echo(f"  … and {format_count(len(states) - _DEPLOYMENTS_SHOWN, 'more deployment')}", err=True)


def _print_left_out(matches: "Sequence[BulkMatches]") -> None:
    counts: Counter[str] = Counter()
    for match in matches:
        if match["reason"] is not None:
            counts[match["reason"]] += match["count"]
    for reason, count in sorted(counts.items()):
        click.echo(f"Left out: {count}, because {reason}.", err=True)


def _print_results(page: "BulkResult", output: str) -> None:
    for result in page["runs"]:
        if result["reason"] is not None:
            click.echo(visible_lines(f"{result['run_id']}: {result['reason']}"), err=True)
        elif output == "text":
            click.echo(f"{result['run_id']} {result['state']}")
