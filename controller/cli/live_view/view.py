"""The state of the live view, and what each key does. `frame` renders it, and `app` feeds it keys and changes."""

from collections.abc import Callable, Sequence
from typing import Any

from controller.cli.live_view import actions
from controller.cli.live_view.listing import Item, Listing, Part, Target
from controller.cli.live_view.loader import Loader
from controller.cli.live_view.pages import CommitPage, DeploymentPage, HelpPage, Page, WithheldPage
from controller.cli.live_view.prompt import Prompt, question
from controller.cli.live_view.run_page import RunPage
from controller.cli.live_view.tabs import Problems, make_tabs
from controller.client import Client
from controller.clock import Clock

REFRESH_SECONDS = 2.0
"""The shortest time between two refreshes while the state keeps changing."""
RESYNC_SECONDS = 300.0
"""After this long, everything is loaded again although no change was reported: a run can become late, for example."""
ACTIVITY_SECONDS = 60.0
"""How often the runs of the last 24 hours are counted while the state changes."""
MESSAGE_SECONDS = 6.0
PINNED = 4
"""The number of running runs at the bottom of the problems."""
FIXED_LINES = 5
"""The lines around the rows: two at the top, the tabs, the titles of the columns, and the keys."""


class View:
    """The state. `exit` ends the view; `owns_controller` is set if the controller ends with it."""

    def __init__(
        self,
        loader: Loader,
        clock: Clock,
        *,
        leave: Callable[[], None],
        copy: Callable[[str], None],
        owns_controller: bool = False,
    ) -> None:
        self.loader = loader
        self.clock = clock
        self.tabs: Sequence[Listing] = make_tabs()
        self.tab = 0
        self.pages: list[Page] = []
        self.prompt: Prompt | None = None
        self.message: str | None = None
        self.problem: str | None = None
        self.summary: dict[str, Any] | None = None
        self.activity: Sequence[Item] = ()
        self.in_progress: dict[str, Any] | None = None
        self.owns_controller = owns_controller
        self.width, self.height = 80, 24
        self._leave = leave
        self._copy = copy
        self._is_changed = False
        self._refreshed_at = self._counted_at = -RESYNC_SECONDS
        self._message_until = 0.0

    @property
    def page(self) -> Page | None:
        """The open page, None on a tab."""
        return self.pages[-1] if self.pages else None

    @property
    def listing(self) -> Listing | None:
        """The visible list."""
        return self.tabs[self.tab] if self.page is None else self.page.listing

    @property
    def target(self) -> Target:
        """The subject of the selected row, or else that of the page."""
        listing = self.listing
        item = None if listing is None else listing.item(listing.selected)
        selected = Target() if listing is None or item is None else listing.target(item)
        return self.page.target if self.page is not None and selected.is_empty else selected

    @property
    def rows(self) -> int:
        """The number of rows of the visible list."""
        now = self.clock.now()
        head = 0 if self.page is None else len(self.page.head(self.width, now))
        pinned = len(self.pinned) + bool(self.pinned)
        return max(1, self.height - FIXED_LINES - head - pinned)

    @property
    def pinned(self) -> Sequence[Item]:
        """The runs below the problems; none on a very small screen."""
        if self.in_progress is None or self.page is not None or self.tab or self.height < 16:
            return ()
        most = PINNED if self.height <= 30 else 2 * PINNED
        items = [*self.in_progress["running"][:most], *self.in_progress["waiting"]]
        return items[:most]

    @property
    def unpinned(self) -> int:
        """The number of other running runs and groups of waiting runs."""
        if self.in_progress is None:
            return 0
        listed = len(self.in_progress["running"]) + len(self.in_progress["waiting"])
        more: int = self.in_progress["more_running"]
        return listed + more - len(self.pinned)

    def resize(self, width: int, height: int) -> None:
        """Use another size of the screen."""
        self.width, self.height = width, height
        self._load_rows()

    def on_change(self) -> None:
        """Handle a change of the controller's state, and a new connection: refresh now, or with the next tick."""
        self.problem, self._is_changed = None, True
        if self.clock.elapsed() - self._refreshed_at >= REFRESH_SECONDS:
            self.refresh()

    def on_lost(self, problem: str) -> None:
        """Handle that the controller cannot be reached. The loaded rows stay visible."""
        self.problem = problem

    def on_problem(self, message: str) -> None:
        """Handle that the controller rejected a request."""
        self.say(message)

    def on_tick(self) -> None:
        """Refresh what is out of date. Called every second."""
        now = self.clock.elapsed()
        if self.message is not None and now >= self._message_until:
            self.message = None
        since = now - self._refreshed_at
        if (self._is_changed and since >= REFRESH_SECONDS) or (self.problem is None and since >= RESYNC_SECONDS):
            self.refresh()
        elif self.page is not None and self.page.is_changing and self.problem is None:
            self._load_page()

    def refresh(self) -> None:
        """Load everything that is visible."""
        now = self.clock.elapsed()
        self._refreshed_at, self._is_changed = now, False
        self.loader.submit("summary", lambda client: client.summary(), self._set_summary)
        if now - self._counted_at >= ACTIVITY_SECONDS:
            self._counted_at = now
            self.loader.submit("activity", lambda client: client.activity(), self._set_activity)
        self._load_page()
        self._load_rows(again=True)
        if isinstance(self.listing, Problems):
            self.loader.submit("pinned", lambda client: client.in_progress(limit=2 * PINNED), self._set_in_progress)

    def say(self, message: str) -> None:
        """Show a message at the bottom for a few seconds."""
        self.message = message
        self._message_until = self.clock.elapsed() + MESSAGE_SECONDS

    def open(self, page: Page) -> None:
        """Open a page."""
        self.pages.append(page)
        self._load_page()
        self._load_rows(again=True)

    def copy(self, text: str) -> None:
        """Copy a text to the clipboard of the terminal."""
        self._copy(text)
        self.say(f"Copied {text}")

    def paste(self, text: str) -> None:
        """Insert a pasted text into the open question."""
        if self.prompt is not None:
            self.prompt.paste(text)

    def press(self, key: str, character: str | None = None) -> None:
        """Handle a key by its name, such as `enter`, or by its character. Unknown keys do nothing."""
        prompt = self.prompt
        if key == "ctrl+c":
            self._leave()
        elif prompt is not None:
            if prompt.press(key, character) and self.prompt is prompt:
                self.prompt = None
        elif self.page is None or not self.page.press(key, self.rows):
            self._press_key(key)

    def _press_key(self, key: str) -> None:
        if len(key) == 1 and "1" <= key <= str(len(self.tabs)):
            self._go_to_tab(int(key) - 1)
        elif key in _KEYS:
            _KEYS[key](self)
        elif (listing := self.listing) is not None and _move(listing, key, self.rows):
            self._load_rows()

    def _go_to_tab(self, number: int) -> None:
        self.pages.clear()
        self.tab = number % len(self.tabs)
        self.refresh()

    def _go_back(self) -> None:
        listing = self.listing
        if self.pages:
            self.pages.pop()
            self._load_page()
            self._load_rows(again=True)
        elif listing is not None and listing.filter:
            self._filter("")

    def _open_selected(self) -> None:
        listing = self.listing
        item = None if listing is None else listing.item(listing.selected)
        if listing is None or item is None:
            return
        target = listing.target(item)
        if target.is_withheld:
            self.open(WithheldPage())
        elif target.sha is not None:
            self.open(CommitPage(target.sha))
        elif target.run_id is not None and (target.deployment is None or _is_about_runs(listing)):
            self.open(RunPage(target.run_id))
        elif target.deployment is not None:
            self.open(DeploymentPage(target.deployment))

    def _open_log(self) -> None:
        run_id = self.target.run_id
        if run_id is None:
            self.say("Select a run first.")
        else:
            self.open(RunPage(run_id, is_log=True))

    def _open_commit(self) -> None:
        target = self.target
        if target.sha is not None and not isinstance(self.page, CommitPage):
            self.open(CommitPage(target.sha))
        elif target.run_id is not None and (self.page is not None or _is_about_runs(self.listing)):
            run_id = target.run_id
            about = f"the commit of run {run_id[-12:]}"
            self.loader.submit("commit", lambda client: client.run(run_id)["commit"], self._commit_opener(about))
        elif target.deployment is not None:
            name = target.deployment
            about = f"the commit that last changed {name}"
            job = lambda client: client.deployment(name)["changed_in"]  # noqa: E731
            self.loader.submit("commit", job, self._commit_opener(about))

    def _commit_opener(self, about: str) -> Callable[[Any], None]:
        def show(commit: Any) -> None:
            if commit is None:
                self.say("The commit is not recorded.")
            else:
                self.open(CommitPage(commit["sha"], about))

        return show

    def _ask_filter(self) -> None:
        page, listing = self.page, self.listing
        if listing is not None:
            label = f"Filter ({listing.filter_hint}): "
            value = listing.filter
            self.prompt = Prompt(label=label, submit=self._filter, value=value, change=self._filter, before=value)
        elif isinstance(page, RunPage):

            def search(text: str) -> None:
                self.say(page.search(text) or "The search is empty.")

            self.prompt = Prompt(label="Search: ", submit=search)

    def _filter(self, text: str) -> None:
        listing = self.listing
        if listing is not None and text.strip() != listing.filter:
            listing.restrict(text)
            self._load_rows(again=True)

    def _sort(self) -> None:
        listing = self.listing
        if listing is None or not listing.orders:
            self.say("Only the list of deployments can be sorted.")
            return
        listing.next_order()
        self.say(f"Sorted by {listing.order}.")
        self._load_rows(again=True)

    def _ask_quit(self) -> None:
        if self.owns_controller:
            self.prompt = question("Stop the controller? Running flows continue.", self._leave)
        else:
            self._leave()

    def _load_page(self) -> None:
        page = self.page
        if page is not None:
            self.loader.submit(f"page {id(page)}", page.load, page.update)

    def _load_rows(self, *, again: bool = False, is_second: bool = False) -> None:
        """Load the visible rows: if some are missing, or in any case with `again`.

        If the selected row has moved, others become visible: they are loaded after that, unless `is_second`.
        """
        listing, height = self.listing, self.rows
        if listing is None or not (listing.scroll(height) or again):
            return
        offset, text, order = listing.top, listing.filter, listing.order

        def fetch(client: Client) -> Part:
            return listing.fetch(client, offset, height + 1)

        def show(part: Part) -> None:
            if (listing.filter, listing.order) == (text, order):
                listing.update(part)
                if listing.scroll(height) and not is_second:
                    self._load_rows(is_second=True)

        self.loader.submit(f"rows {id(listing)}", fetch, show)

    def _set_summary(self, summary: Any) -> None:
        self.summary, self.problem = summary, None

    def _set_activity(self, activity: Any) -> None:
        self.activity = activity

    def _set_in_progress(self, in_progress: Any) -> None:
        self.in_progress = in_progress


def _is_about_runs(listing: Listing | None) -> bool:
    return listing is not None and listing.title in ("Runs", "Running", "Queues", "Events")


def _move(listing: Listing, key: str, height: int) -> bool:
    """Move the selection. Return whether the key does that."""
    distances = {"up": -1, "k": -1, "down": 1, "j": 1, "pageup": 1 - height, "pagedown": height - 1}
    if key in distances:
        listing.move(distances[key])
    elif key in ("g", "home"):
        listing.move(-listing.selected)
    elif key in ("G", "end"):
        listing.move(listing.end - listing.selected)
    else:
        return False
    return True


_KEYS: dict[str, Callable[[View], None]] = {
    "enter": View._open_selected,
    "right": View._open_selected,
    "escape": View._go_back,
    "left": View._go_back,
    "tab": lambda view: view._go_to_tab(view.tab + 1),
    "shift+tab": lambda view: view._go_to_tab(view.tab - 1),
    "/": View._ask_filter,
    "s": View._sort,
    "l": View._open_log,
    "d": View._open_commit,
    "r": actions.ask_run,
    "c": actions.ask_cancel,
    "h": actions.ask_hold,
    "a": actions.ask_approve,
    "y": actions.ask_copy,
    "?": lambda view: view.open(HelpPage()),
    "ctrl+l": View.refresh,
    "q": View._ask_quit,
}
