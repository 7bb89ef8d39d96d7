"""The lists of runs in the live view: running and waiting ones, all, and those of one deployment."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.text import Text

from controller.cli.live_view.cells import Column
from controller.cli.live_view.listing import MAX_ITEMS, Cursors, Item, Listing, Part, Target
from controller.cli.live_view.values import (
    DIM,
    age,
    headline,
    plain,
    run_progress,
    run_state,
    waiting_line,
    waiting_text,
)
from controller.client import Client

_RUN_STATES = (
    "pending",
    "running",
    "retrying",
    "succeeded",
    "failed",
    "timed_out",
    "cancelled",
    "crashed",
    "skipped",
)
_BAR = 8


class Running(Listing):
    """Running runs with their progress, the longest first, and what the others wait for."""

    title = "Running"
    empty = "Nothing is running or waiting."
    columns = (
        Column(title="NAME", narrowest=20),
        Column(title="STATE", narrowest=9),
        Column(title="FOR", narrowest=6),
        Column(title="PROGRESS", narrowest=20, drop=1),
        Column(title="TASK", narrowest=14, is_last=True),
        Column(title="RUN", narrowest=12, drop=2),
    )

    def fetch(self, client: Client, offset: int, count: int) -> Part:
        """Load the running runs up to the end of this part, and all groups of waiting runs."""
        answer = client.in_progress(limit=min(MAX_ITEMS, offset + count))
        items: list[Any] = [*answer["running"], *answer["waiting"]]
        total = None if answer["more_running"] else len(items)
        text = self.filter.lower()
        items = [item for item in items if text in item.get("deployment", item.get("text", "")).lower()]
        return Part(offset=0, items=items, total=len(items) if text else total)

    def cells(self, item: Item, now: datetime) -> Sequence[Text]:
        """Return the cells of a running run."""
        return (
            plain(item["deployment"]),
            run_state(item["state"]),
            Text(age(item["started_at"], now)),
            run_progress(item, now, _BAR),
            plain(headline(item) if item["uncertain_reason"] else item["current_task"] or ""),
            plain(item["id"][-12:], DIM),
        )

    def line(self, item: Item, now: datetime) -> Text | None:
        """Return what a group of waiting runs waits for."""
        return waiting_line(item, now) if "text" in item else None

    def target(self, item: Item) -> Target:
        """Return the run, or the first run of the group."""
        if "text" in item:
            return waiting_target(item)
        return Target(run_id=item["id"], deployment=item["deployment"], text=item["current_task"])


def waiting_target(group: Item) -> Target:
    """Return the first run of a group of waiting runs, and the whole text of the group."""
    text = waiting_text(group)
    if not group["runs"]:
        return Target(text=text)
    first = group["runs"][0]
    return Target(run_id=first["id"], deployment=first["deployment"], text=text)


class Runs(Listing):
    """Runs, newest first."""

    title = "Runs"
    empty = "No runs match."
    filter_hint = "a state, a deployment or tag:NAME"
    columns: Sequence[Column] = (
        Column(title="DEPLOYMENT", narrowest=20),
        Column(title="STATE", narrowest=11),
        Column(title="AGO", narrowest=5, is_number=True),
        Column(title="TOOK", narrowest=5, is_number=True),
        Column(title="TRIGGER", narrowest=8, drop=1),
        Column(title="REASON", narrowest=22, is_last=True),
        Column(title="RUN", narrowest=12, drop=2),
    )

    def __init__(self) -> None:
        super().__init__()
        self._cursors = Cursors()

    def fetch(self, client: Client, offset: int, count: int) -> Part:
        """Load runs. The first page is always the newest one."""
        return self._cursors.fetch(client, "/runs", offset, count, **_run_filter(self.filter))

    def reset(self) -> None:
        """Go to the newest run."""
        super().reset()
        self._cursors = Cursors()

    def cells(self, item: Item, now: datetime) -> Sequence[Text]:
        """Return the cells of a run."""
        return run_cells(item, now)

    def target(self, item: Item) -> Target:
        """Return the run."""
        return Target(run_id=item["id"], deployment=item["deployment"], text=headline(item) or None)


class RunsOfDeployment(Runs):
    """The runs of one deployment, newest first."""

    columns = Runs.columns[1:]
    empty = "No runs yet."

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def fetch(self, client: Client, offset: int, count: int) -> Part:
        """Load runs of the deployment."""
        filters = {**_run_filter(self.filter), "deployment": self._name}
        return self._cursors.fetch(client, "/runs", offset, count, **filters)

    def cells(self, item: Item, now: datetime) -> Sequence[Text]:
        """Return the cells of a run."""
        return run_cells(item, now)[1:]


def run_cells(run: Item, now: datetime) -> Sequence[Text]:
    """Return the cells of a run in the columns of `Runs`."""
    took = "-" if run["took"] is None else f"{run['took']:.1f}s" if run["took"] < 60 else f"{run['took'] / 60:.0f}m"
    return (
        plain(run["deployment"]),
        run_state(run["state"]),
        Text(age(run["started_at"] or run["created_at"], now)),
        Text(took),
        plain(run["trigger"], DIM),
        plain(headline(run)),
        plain(run["id"][-12:], DIM),
    )


def _run_filter(text: str) -> dict[str, Any]:
    if not text:
        return {}
    if text in _RUN_STATES:
        return {"state": text}
    return {"tag": text.removeprefix("tag:")} if text.startswith("tag:") else {"deployment": text}
