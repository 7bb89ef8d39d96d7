"""The seven tabs of the live view: which items each of them loads, and what their rows show."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.text import Text

from controller.cli.live_view.cells import Column, styled
from controller.cli.live_view.listing import MAX_ITEMS, Cursors, Item, Listing, Part, Target
from controller.cli.live_view.run_lists import Running, Runs, waiting_target
from controller.cli.live_view.values import (
    BAD,
    BUSY,
    DIM,
    WARN,
    age,
    clock_time,
    deployment_state,
    is_problem,
    plain,
    recent_states,
    run_state,
    waiting_line,
)
from controller.cli.terminal.text_format import shorten_run_ids
from controller.client import Client

_SEVERITIES = ("info", "warning", "error")


class Problems(Listing):
    """The problems that need attention, the worst first."""

    title = "Problems"
    empty = "No problems."
    filter_hint = "part of a name or a reason"
    columns = (
        Column(title="NAME", narrowest=16),
        Column(title="STATE", narrowest=11),
        Column(title="SINCE", narrowest=6, drop=1),
        Column(title="LAST", narrowest=5, drop=3, keeps_end=True),
        Column(title="NEXT", narrowest=6, drop=2),
        Column(title="REASON", narrowest=26, is_last=True),
    )

    def fetch(self, client: Client, offset: int, count: int) -> Part:
        """Load problems."""
        page = client.page("/attention", offset=offset, limit=min(count, MAX_ITEMS), search=self.filter)
        return Part(offset=offset, items=page["items"], total=page["total"])

    def cells(self, item: Item, now: datetime) -> Sequence[Text]:
        """Return the cells of a problem."""
        return (
            plain(item["subject"]),
            _problem_state(item),
            Text(age(item["since"], now)),
            recent_states(item["recent"]),
            Text(age(item["next_fire_time"], now)),
            plain(item["message"]),
        )

    def target(self, item: Item) -> Target:
        """Return the deployment, with the run that failed, or the withheld deletions."""
        return Target(
            deployment=item["deployment"],
            run_id=item["run_id"],
            is_withheld=item["code"] == "withheld",
            text=item["message"],
        )


class Deployments(Listing):
    """All deployments."""

    title = "Deployments"
    empty = "No deployments. Commit a file to deployments/."
    filter_hint = "part of a name, flow, description or tag"
    orders = ("problems", "name", "next", "last-run")
    columns = (
        Column(title="NAME", narrowest=20),
        Column(title="STATE", narrowest=10),
        Column(title="LAST RUN", narrowest=11),
        Column(title="AGO", narrowest=6, is_number=True),
        Column(title="NEXT", narrowest=6, is_number=True),
        Column(title="FLOW", narrowest=12, drop=1),
        Column(title="REASON", narrowest=26, drop=2, is_last=True),
    )

    def fetch(self, client: Client, offset: int, count: int) -> Part:
        """Load deployments."""
        limit = min(count, MAX_ITEMS)
        page = client.page("/deployments", offset=offset, limit=limit, search=self.filter, order=self.order)
        return Part(offset=offset, items=page["items"], total=page["total"])

    def cells(self, item: Item, now: datetime) -> Sequence[Text]:
        """Return the cells of a deployment."""
        run = item["last_run"]
        return (
            plain(item["name"]),
            deployment_state(item),
            styled("-", DIM) if run is None else run_state(run["state"]),
            Text(age(None if run is None else run["finished_at"] or run["created_at"], now)),
            Text(age(item["next_fire_time"], now)),
            plain(item["flow"] or " ".join(item["command"] or ()), DIM),
            plain(deployment_reason(item)),
        )

    def target(self, item: Item) -> Target:
        """Return the deployment, with its last run."""
        run = item["last_run"]
        run_id = None if run is None else run["id"]
        return Target(deployment=item["name"], run_id=run_id, text=deployment_reason(item) or None)


class Queues(Listing):
    """The limits, and what waits for them."""

    title = "Queues"
    empty = "No queues."
    columns = (
        Column(title="QUEUE", narrowest=16),
        Column(title="RUNNING", narrowest=7, is_number=True),
        Column(title="LIMIT", narrowest=5, is_number=True),
        Column(title="WAITING", narrowest=7, is_number=True),
    )

    def fetch(self, client: Client, offset: int, count: int) -> Part:  # noqa: ARG002
        """Load all queues, and after them all groups of waiting runs."""
        answer = client.in_progress(limit=1)
        items: list[Any] = [*answer["queues"], *answer["waiting"]]
        text = self.filter.lower()
        items = [item for item in items if text in item.get("name", item.get("text", "")).lower()]
        return Part(offset=0, items=items, total=len(items))

    def cells(self, item: Item, now: datetime) -> Sequence[Text]:  # noqa: ARG002
        """Return the cells of a queue."""
        is_full = item["limit"] is not None and item["running"] >= item["limit"]
        return (
            plain("all (--max-running)" if item["name"] == "*" else item["name"], "bold"),
            styled(str(item["running"]), BAD if is_full else BUSY),
            Text("-" if item["limit"] is None else str(item["limit"])),
            styled(str(item["waiting"]), WARN if item["waiting"] else DIM),
        )

    def line(self, item: Item, now: datetime) -> Text | None:
        """Return what a group of waiting runs waits for."""
        return waiting_line(item, now) if "text" in item else None

    def target(self, item: Item) -> Target:
        """Return the first run of a group."""
        return waiting_target(item) if "text" in item else Target(text=item["name"])


class Events(Listing):
    """Recorded events, newest first."""

    title = "Events"
    empty = "No events match."
    filter_hint = "info, warning, error, or what the event is about"
    columns = (
        Column(title="TIME", narrowest=19, drop=1),
        Column(title="AGO", narrowest=5, is_number=True),
        Column(title="ABOUT", narrowest=16),
        Column(title="REASON", narrowest=12),
        Column(title="MESSAGE", narrowest=36, is_last=True),
    )

    def __init__(self) -> None:
        super().__init__()
        self._cursors = Cursors()

    def fetch(self, client: Client, offset: int, count: int) -> Part:
        """Load events."""
        key = "severity" if self.filter in _SEVERITIES else "about"
        filters = {key: self.filter} if self.filter else {}
        return self._cursors.fetch(client, "/events", offset, count, **filters)

    def reset(self) -> None:
        """Go to the newest event."""
        super().reset()
        self._cursors = Cursors()

    def cells(self, item: Item, now: datetime) -> Sequence[Text]:
        """Return the cells of an event."""
        style = {"error": BAD, "warning": WARN}.get(item["severity"], "")
        return (
            styled(clock_time(item["time"], now), DIM),
            Text(age(item["time"], now)),
            plain(item["about"]),
            plain(item["reason"], style),
            plain(shorten_run_ids(item["message"])),
        )

    def target(self, item: Item) -> Target:
        """Return the run or the deployment that the event is about."""
        about, text = item["about"], item["message"]
        if about.startswith("run/"):
            return Target(run_id=about.removeprefix("run/"), text=text)
        is_deployment = about not in ("source", "controller") and "/" not in about
        return Target(deployment=about, text=text) if is_deployment else Target(text=text)

    def key(self, item: Item) -> Any:
        """Return the number of the event."""
        return item["id"]


class Git(Listing):
    """The commits that passes have seen, newest first."""

    title = "Git"
    empty = "No commits yet."
    filter_hint = "part of a subject or an author"
    columns = (
        Column(title="COMMIT", narrowest=9),
        Column(title="AGO", narrowest=5, is_number=True),
        Column(title="AUTHOR", narrowest=12, drop=1),
        Column(title="CHANGES", narrowest=7),
        Column(title="SUBJECT", narrowest=30, is_last=True),
    )

    def fetch(self, client: Client, offset: int, count: int) -> Part:
        """Load commits; with a filter, all of the last 500."""
        limit = MAX_ITEMS if self.filter else min(MAX_ITEMS, offset + count)
        commits = client.commits(limit=limit)
        text = self.filter.lower()
        items = [commit for commit in commits if text in f"{commit['subject']} {commit['author']}".lower()]
        is_all = bool(text) or len(commits) < limit or limit == MAX_ITEMS
        return Part(offset=0, items=items, total=len(items) if is_all else None)

    def cells(self, item: Item, now: datetime) -> Sequence[Text]:
        """Return the cells of a commit."""
        return (
            plain(item["sha"][:9], "bold"),
            Text(age(item["author_date"], now)),
            plain(item["author"]),
            changes(item),
            plain(item["subject"]),
        )

    def target(self, item: Item) -> Target:
        """Return the commit."""
        return Target(sha=item["sha"], text=item["subject"])


def make_tabs() -> tuple[Listing, ...]:
    """Return the tabs in the order of their keys."""
    return (Problems(), Running(), Deployments(), Runs(), Queues(), Events(), Git())


def changes(commit: Item) -> Text:
    """Return the numbers of deployments that a commit added, changed and removed: `+2 ~1 -16`."""
    parts = (("+", "added", "green"), ("~", "changed", "yellow"), ("-", "removed", "red"))
    texts = [styled(f"{sign}{commit[key]['count']}", style) for sign, key, style in parts if commit[key]["count"]]
    return Text(" ").join(texts)


def deployment_reason(deployment: Item) -> str:
    """Return why a deployment is not as it should be, as far as the list of deployments says it."""
    conditions = [condition for condition in deployment["conditions"] if is_problem(condition)]
    if conditions:
        return str(conditions[0]["message"])
    if deployment["hold"] is not None:
        return f"{deployment['hold']['author']}: {deployment['hold']['reason']}"
    run = deployment["last_run"]
    if run is not None and run["waits_for"] is not None:
        return f"waits for {run['waits_for']}"
    return "" if run is None or run["reason"] is None else str(run["reason"])


def _problem_state(item: Item) -> Text:
    count = item["count"]
    texts = {
        "source": ("✕ source", BAD),
        "channel": ("✕ messages", BAD),
        "invalid_file": ("✕ invalid", BAD),
        "invalid_deployment": ("✕ invalid", BAD),
        "failed_run": (f"✕ {count} failed" if count > 1 else "✕ failed", BAD),
        "no_python": ("✕ no python", BAD),
        "no_upstream": ("✕ no upstream", BAD),
        "no_files": ("✕ files not watched", BAD),
        "no_executor": ("✕ no executor", BAD),
        "executor": ("✕ executor", BAD),
        "withheld": ("! withheld", WARN),
        "late": ("○ late", WARN),
        "held": ("‖ held", WARN),
    }
    text, style = texts.get(item["code"], (item["code"], ""))
    return styled(text, style)
