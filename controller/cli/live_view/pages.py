"""The pages of the live view that open from a list: a deployment, a commit, withheld deletions and the help."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.text import Text

from controller.cli.live_view.cells import Column, fit, fit_text, styled
from controller.cli.live_view.listing import Item, Listing, Part, Target
from controller.cli.live_view.run_lists import RunsOfDeployment
from controller.cli.live_view.tabs import changes
from controller.cli.live_view.values import (
    BAD,
    DIM,
    GOOD,
    WARN,
    age,
    clock_time,
    deployment_state,
    is_problem,
    plain,
    short_commit,
)
from controller.client import Client
from controller.text import format_count, join_and, join_or

_MOST_SCHEDULES = 3
_MOST_TIMES = 4
_MOST_PROBLEMS = 4

HELP = """
1 … 7            go to a tab               Tab, Shift-Tab   next, previous tab
↑ ↓ j k          one row up, down          PgUp PgDn        one screen up, down
g G Home End     first, last row           Enter → / Esc ←  open, go back

/   filter a list; search a log, and go to other matches with n and N
s   sort deployments by problems, name, next due time or last run
r   run the deployment, after a question; asks for required parameters
c   cancel the run, after a question
h   hold the schedules of the deployment, or resume them
a   review the withheld deletions, and approve them after a question
l   the log of the run; t shows its tasks
d   the commit that last changed the deployment, or that of the run
y   copy the name, the run id or the reason to the clipboard

Ctrl-L  reload everything     Ctrl-Z  suspend; `fg` continues     q  quit

✕ failed or invalid  ! withheld  ‖ held  ● running  ○ waiting  ↻ retrying
✓ succeeded or healthy  ■ cancelled  · skipped
"""


class Page:
    """A page: lines at its top, and below them a list, if it has one."""

    def __init__(self, title: str, listing: Listing | None = None) -> None:
        self.title = title
        self.listing = listing
        self.is_changing = False
        """Whether `load` is called every second, because output can arrive without an event."""

    def load(self, client: Client) -> Any:
        """Load the data of the page. Called in another thread: it must not change the page."""

    def update(self, data: Any) -> None:
        """Show the data that `load` returned."""

    def head(self, width: int, now: datetime) -> list[Text]:  # noqa: ARG002
        """Return the lines at the top of the page."""
        return []

    def body(self, width: int, height: int) -> list[Text]:  # noqa: ARG002
        """Return the lines below `head` of a page without a list."""
        return []

    @property
    def target(self) -> Target:
        """The deployment, run or commit that actions apply to, unless a row of the list is selected."""
        return Target()

    def press(self, key: str, height: int) -> bool:  # noqa: ARG002
        """Handle a key of this page. Return whether it is one."""
        return False

    def search(self, text: str) -> str | None:  # noqa: ARG002
        """Go to the next line that contains the text. Return a message for the user."""
        return None


class DeploymentPage(Page):
    """A deployment: its state in a sentence, its schedules, what changed it, and its runs."""

    def __init__(self, name: str) -> None:
        super().__init__(name, RunsOfDeployment(name))
        self.name = name
        self._detail: Mapping[str, Any] | None = None
        self._failing: Mapping[str, Any] | None = None

    def load(self, client: Client) -> Any:
        """Load the details, and since when the deployment fails."""
        problems = client.attention(search=self.name)
        failing = [item for item in problems if item["deployment"] == self.name and item["code"] == "failed_run"]
        return client.deployment(self.name), failing[0] if failing else None

    def update(self, data: Any) -> None:
        """Show these details."""
        self._detail, self._failing = data

    @property
    def target(self) -> Target:
        """The deployment."""
        return Target(deployment=self.name)

    @property
    def is_held(self) -> bool:
        """Whether the schedules are on hold."""
        return self._detail is not None and self._detail["held"]

    def head(self, width: int, now: datetime) -> list[Text]:
        """Return its state, declaration, schedules and problems."""
        detail = self._detail
        if detail is None:
            return [styled("loading …", DIM)]
        flow = detail["flow"] or " ".join(detail["command"] or ())
        lines = [
            plain(detail["name"], "bold") + Text("  ") + deployment_state(detail) + Text("  ") + self._sentence(now),
            plain(fit(f"{flow}  {detail['file']}:{detail['line']}  {' '.join(detail['tags'])}", width), DIM),
        ]
        if detail["changed_in"] is not None:
            lines.append(styled("changed in ", DIM) + short_commit(detail["changed_in"], now))
        lines += [_schedule(schedule, width, now) for schedule in detail["schedules"][:_MOST_SCHEDULES]]
        if self._failing is not None:
            lines.append(plain(fit(f"✕ {self._failing['message']}", width), BAD))
        problems = [c["message"] for c in detail["conditions"] if is_problem(c)]
        places = ((f"{f['file']}:{f['line']}:{f['column']}: {f['message']}") for f in detail["findings"])
        problems += [place for place in places if place not in problems]
        lines += [plain(fit(f"! {problem}", width), WARN) for problem in problems[:_MOST_PROBLEMS]]
        if detail["hold"] is not None:
            hold = detail["hold"]
            until = "" if hold["until"] is None else f" until {clock_time(hold['until'], now, detail['timezone'])}"
            since = f"{age(hold['since'], now)}{until}"
            lines.append(plain(f"‖ held by {hold['author']} for {since}: {hold['reason']}", WARN))
        return [*[fit_text(line, width) for line in lines], Text()]

    def _sentence(self, now: datetime) -> Text:
        """Return since when it fails, and when it is due next."""
        assert self._detail is not None
        failing = self._failing
        parts = []
        if failing is not None:
            since = age(failing["since"], now)
            count = failing["count"]
            parts.append(f"{count} runs failed in a row, for {since}" if count > 1 else f"failed {since} ago")
        next_time = self._detail["next_fire_time"]
        parts.append(_starts(self._detail) if next_time is None else f"next in {age(next_time, now)}")
        return styled("; ".join(parts), BAD if failing is not None else "")


class Names(Listing):
    """A fixed list of deployments, each with a sign."""

    title = "Deployments"
    empty = "No deployments."
    columns = (Column(title="", narrowest=1), Column(title="DEPLOYMENT", narrowest=20, is_last=True))

    def __init__(self, names: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__()
        self.show(names)

    def show(self, names: Sequence[tuple[str, str]]) -> None:
        """Show these names with their signs."""
        self._names = names
        items = [{"sign": sign, "name": name} for sign, name in names if self.filter.lower() in name.lower()]
        super().update(Part(offset=0, items=items, total=len(items)))

    def reset(self) -> None:
        """Show the names that match the filter."""
        super().reset()
        self.show(self._names)

    def fetch(self, client: Client, offset: int, count: int) -> Part:  # noqa: ARG002
        """Return the list as it is."""
        return self.part

    def update(self, part: Part) -> None:
        """Do nothing: `fetch` may have returned the part before `show` replaced it."""

    def cells(self, item: Item, now: datetime) -> Sequence[Text]:  # noqa: ARG002
        """Return the sign and the name."""
        style = {"+": GOOD, "~": WARN, "-": BAD, "!": WARN}.get(item["sign"], "")
        return (styled(item["sign"], style), plain(item["name"]))

    def target(self, item: Item) -> Target:
        """Return the deployment."""
        return Target(deployment=item["name"])


class CommitPage(Page):
    """A commit: who made it and when, and the deployments that it added, changed and removed."""

    def __init__(self, sha: str, about: str = "") -> None:
        self._names = Names()
        super().__init__(f"commit {sha[:9]}", self._names)
        self.sha = sha
        self._about = about
        self._commit: Mapping[str, Any] | None = None
        self._is_loaded = False

    def load(self, client: Client) -> Any:
        """Find the commit among the last 500."""
        return next((commit for commit in client.commits(limit=500) if commit["sha"] == self.sha), None)

    def update(self, data: Any) -> None:
        """Show this commit."""
        self._commit, self._is_loaded = data, True
        signs = (("+", "added"), ("~", "changed"), ("-", "removed"))
        self._names.show([] if data is None else [(sign, name) for sign, key in signs for name in data[key]["names"]])

    @property
    def target(self) -> Target:
        """The commit."""
        return Target(sha=self.sha)

    def head(self, width: int, now: datetime) -> list[Text]:
        """Return the commit, and where to see its diff."""
        about = [plain(self._about, DIM)] if self._about else []
        if self._commit is None:
            text = "This commit is not recorded." if self._is_loaded else "loading …"
            return [*about, styled(text, DIM), Text()]
        lines = [
            *about,
            plain(self._commit["subject"], "bold"),
            plain(f"{self._commit['author']}, {clock_time(self._commit['author_date'], now)}, {self.sha[:12]}")
            + Text("  ")
            + changes(self._commit),
            plain(f"git show {self.sha[:12]}", DIM),
        ]
        return [*[fit_text(line, width) for line in lines], Text()]


class WithheldPage(Page):
    """The deletions that wait for approval."""

    def __init__(self) -> None:
        self._names = Names()
        super().__init__("withheld deletions", self._names)
        self.withheld: Mapping[str, Any] | None = None
        self.is_loaded = False

    def load(self, client: Client) -> Any:
        """Load the withheld deletions."""
        return client.status()["withheld"]

    def update(self, data: Any) -> None:
        """Show these deletions."""
        self.withheld, self.is_loaded = data, True
        self._names.show([] if data is None else [("-", name) for name in data["deployments"]])

    def head(self, width: int, now: datetime) -> list[Text]:  # noqa: ARG002
        """Return why they are withheld, and how to approve them."""
        if self.withheld is None:
            return [styled("No deletions wait for approval." if self.is_loaded else "loading …", DIM), Text()]
        count = format_count(len(self.withheld["deployments"]), "deployment")
        return [
            fit_text(plain(f"Git no longer declares {count}: {self.withheld['reason']}."), width),
            styled("Press a to approve exactly these deletions.", WARN),
            Text(),
        ]


class HelpPage(Page):
    """All keys and symbols."""

    def __init__(self) -> None:
        super().__init__("help")

    def body(self, width: int, height: int) -> list[Text]:
        """Return the help."""
        return [fit_text(Text(line), width) for line in HELP.strip("\n").splitlines()][:height]


def _starts(detail: Mapping[str, Any]) -> str:
    """Return what starts runs of a deployment that is not due."""
    if detail["suspended"] or detail["held"]:
        return "nothing is due"
    after, upstreams = detail["after"], [f"{one['deployment']} ({one['on']})" for one in detail["after"]["upstreams"]]
    causes = []
    if upstreams and not detail["schedules"]:
        causes.append(f"after {join_or(upstreams) if after['any'] else join_and(upstreams)}")
    causes += [f"for {trigger['text']}" for trigger in detail["files"]]
    causes += [f"for requests to {webhook['path']}" for webhook in detail["webhooks"]]
    return f"starts {'; '.join(causes)}" if causes else "nothing is due"


def _schedule(schedule: Mapping[str, Any], width: int, now: datetime) -> Text:
    """Return the schedule and its next fire times, as many as fit."""
    line = plain(schedule["text"] + (" (suspended)" if schedule["suspended"] else ""))
    separator = "  next "
    for time in schedule["fire_times"][:_MOST_TIMES]:
        shown = plain(separator + clock_time(time, now, schedule["timezone"], is_short=True), DIM)
        if line.cell_len + shown.cell_len > width and separator == ", ":
            break
        line += shown
        separator = ", "
    return line
