"""The keys of the live view, in the application itself, with Textual's pilot and a real API."""

import asyncio
import os
import re
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from controller.cli.live_view.app import LiveView
from controller.cli.live_view.frame import render_frame
from tests.unit.cli.live_view.conftest import CountingClient, DirectLoader, State, run_id, serve_state

Story = Callable[["User"], Coroutine[Any, Any, None]]


class User:
    """A user who presses keys in the application."""

    def __init__(self, app: LiveView, pilot: Pilot[int]) -> None:
        self.app = app
        self._pilot = pilot

    async def press(self, *keys: str) -> str:
        """Press keys and return the text of the screen."""
        await self._pilot.press(*keys)
        return self.text

    async def type(self, text: str) -> str:
        for character in text:
            await self._pilot.press({" ": "space", "/": "slash", ":": "colon"}.get(character, character))
        return self.text

    async def paste(self, text: str) -> str:
        from textual.events import Paste

        self.app.post_message(Paste(text))
        await self._pilot.pause()
        return self.text

    @property
    def text(self) -> str:
        return "\n".join(line.plain.rstrip() for line in render_frame(self.app.view))

    @property
    def drawn(self) -> str:
        """The text that Textual has drawn."""
        lines = self.app.query_one("Lines")
        return "\n".join(lines.render_line(row).text.rstrip() for row in range(lines.size.height))

    @property
    def selected(self) -> str:
        """The selected row."""
        return next(line for line in self.text.splitlines() if line.startswith("> "))


@pytest.fixture
def own(tmp_path: Path) -> Iterator[State]:
    """A state for one test, which changes it."""
    served = serve_state(tmp_path, 5)
    yield served
    served.controller.stop()


def use(state: State, story: Story, *, size: tuple[int, int] = (100, 24), owner: int | None = None) -> LiveView:
    """Run the application at this size while the user follows the story."""

    async def run() -> LiveView:
        client = CountingClient(state.controller.state.socket)
        loader = DirectLoader(client)
        app = LiveView(lambda _: loader, state.clock, owner=owner)
        loader.view = app.view
        async with app.run_test(size=size) as pilot:
            app.view.on_change()
            app.draw()
            await story(User(app, pilot))
        return app

    return asyncio.run(run())


def test_digits_and_tab_go_to_a_tab_and_letters_without_a_meaning_do_nothing(state: State) -> None:
    async def story(user: User) -> None:
        for key, title in zip(
            "1234567", ("REASON", "TASK", "FLOW", "TRIGGER", "LIMIT", "REASON", "SUBJECT"), strict=True
        ):
            assert title in await user.press(key)
        assert "SUBJECT" in await user.press("8", "0", "x", "ctrl+q", "f1", "insert")
        assert "SINCE" in await user.press("tab")
        assert "SUBJECT" in await user.press("shift+tab")
        assert user.drawn == user.text

    use(state, story)


def test_arrows_and_letters_move_the_selection(state: State) -> None:
    async def story(user: User) -> None:
        await user.press("3")
        names = [user.selected]
        for key in ("down", "j", "k", "up", "pagedown", "pageup", "G", "g", "end", "home"):
            await user.press(key)
            names.append(re.split(r"  +", user.selected[2:])[0])
        first = names[1:]
        assert first[0] == first[2]
        assert first[6] == first[8] == "shop-report-0070"
        assert first[3] == first[5] == first[7] == first[9] == "broken"
        assert len({first[4], first[0], first[1], "broken"}) == 4

    use(state, story)


def test_a_filter_applies_while_it_is_typed_and_escape_removes_it(state: State) -> None:
    async def story(user: User) -> None:
        await user.press("3", "slash")
        text = await user.type("report-000")
        assert "Filter (part of a name, flow, description or tag): report-000" in text
        rows = [line for line in text.splitlines() if "shop-report-" in line]
        assert len(rows) == 10
        assert "shop-report-0007" in await user.press("7")
        assert "0007" in user.selected
        assert "report-0010" in await user.press("backspace", "backspace", "1", "enter")
        assert "filter: report-001" in user.text
        assert "filter" not in (await user.press("escape")).partition("/filter")[0]
        await user.press("slash")
        assert "part of a name, flow, description or tag): shop 1" in await user.paste("shop\n 1")
        assert "): shop" in await user.press("ctrl+w")
        await user.press("escape")

    use(state, story)


def test_runs_and_events_can_be_filtered(state: State) -> None:
    async def story(user: User) -> None:
        await user.press("4", "slash")
        assert "No runs match" in await user.type("tag:none")
        await user.press("ctrl+u")
        text = await user.type("succeeded")
        assert text.count("✓ succeeded") == 5
        await user.press("escape", "6", "slash")
        text = await user.type("warning")
        assert text.count(" Ran ") == 6

    use(state, story)


def test_s_sorts_the_deployments(state: State) -> None:
    async def story(user: User) -> None:
        await user.press("3")
        orders = []
        for _ in range(4):
            text = await user.press("s")
            orders.append((text.splitlines()[-1], user.selected.split()[1]))
        assert orders == [
            ("Sorted by name.", "broken"),
            ("Sorted by next.", "crm-nps-import"),
            ("Sorted by last-run.", "crm-nps-import"),
            ("Sorted by problems.", "broken"),
        ]
        assert "Only the list of deployments can be sorted." in await user.press("4", "s")

    use(state, story)


def test_enter_opens_and_escape_goes_back(state: State) -> None:
    async def story(user: User) -> None:
        text = await user.press("j", "enter")
        assert "17 runs failed in a row, for 16m; next in 1m" in text
        text = await user.press("enter")
        assert "Problems / crm-nps-import / run 000000000001" in text
        assert "KeyError: 'amount' in the row of the customer" in text
        assert "Problems / crm-nps-import " in await user.press("escape")
        assert "[1]Problems" in await user.press("left")
        assert "16 of 76" in await user.press("j", "enter")
        await user.press("escape", "k", "k", "enter")
        assert "deployments/team/reports/broken.yaml:3" in user.text

    use(state, story)


def test_l_shows_the_log_t_the_tasks_and_slash_searches(state: State) -> None:
    directory = state.controller.state.runs / run_id(1, 1) / "1-n"
    directory.mkdir(parents=True, exist_ok=True)
    lines = [f"line {number}" for number in range(2000)]
    lines[700] = lines[1500] = "a needle\x1b[31m red\x1b[0m \x07"
    (directory / "log").write_text("\n".join(lines) + "\n", encoding="utf-8")

    async def story(user: User) -> None:
        text = await user.press("j", "l")
        assert "line 1999" in text
        assert "KeyError" not in text
        text = await user.press("slash")
        assert text.endswith("Search:")
        await user.type("NEEDLE")
        text = await user.press("enter")
        assert "2 lines match" in text
        assert "a needle red" in text
        assert "line 1501" in text
        assert "line 701" in await user.press("N")
        assert "line 1501" in await user.press("n")
        assert "line 0" in await user.press("g")
        assert "line 19" in await user.press("down", "pagedown")
        assert "line 1999" in await user.press("G")
        assert "KeyError" in await user.press("l")
        assert "── tasks" in await user.press("t")

    use(state, story)


def test_d_shows_the_commit_of_a_deployment_and_of_a_run(state: State) -> None:
    async def story(user: User) -> None:
        text = await user.press("j", "d")
        assert "the commit that last changed crm-nps-import" in text
        assert "etl: keep 98 % of rows" in text
        assert "Ada Lovelace" in text
        text = await user.press("4", "d")
        assert "the commit of run 000000000001" in text
        assert "~  crm-nps-import" in text
        assert "crm-nps-import  ✕" in await user.press("enter")

    use(state, story)


def test_r_asks_and_runs_the_deployment(own: State) -> None:
    async def story(user: User) -> None:
        await user.press("3", "slash")
        await user.type("month")
        text = await user.press("enter", "r")
        assert "Run finance-close-month now? y/N" in text
        assert "Triggered run" not in await user.press("x")
        assert "y/N" not in await user.press("n")
        assert "Triggered run" in await user.press("r", "y")

    use(own, story)
    client = CountingClient(own.controller.state.socket)
    assert next(client.runs(deployment="finance-close-month"))["trigger"] == "manual"


def test_c_cancels_a_run_and_h_holds_and_resumes(own: State) -> None:
    async def story(user: User) -> None:
        await user.press("4", "slash")
        await user.type("pending")
        text = await user.press("enter", "c")
        assert "Cancel run 000000000200 of finance-close-month? y/N" in text.replace("202", "200").replace("201", "200")
        assert "is being cancelled" in await user.press("y")
        await user.press("h")
        assert "Reason" in user.text
        assert "For how long?" in await user.press("o", "k", "enter")
        await user.type("soon")
        assert "'soon' is neither a duration such as 2h nor a date-time" in await user.press("enter")
        await user.press("h", "o", "k", "enter")
        await user.type("2h")
        assert "Held finance-close-month until " in await user.press("enter")
        await user.press("3", "slash")
        await user.type("month")
        assert "‖ held" in await user.press("enter")
        assert "Resume finance-close-month? y/N" in await user.press("h")
        assert "Resumed" in await user.press("y")

    use(own, story)
    client = CountingClient(own.controller.state.socket)
    assert [run["state"] for run in client.runs(deployment="finance-close-month")].count("cancelled") == 1
    assert not client.deployment("finance-close-month")["held"]


def test_a_shows_the_deletions_before_it_asks(state: State) -> None:
    async def story(user: User) -> None:
        text = await user.press("a")
        assert "Git no longer declares 16 deployments" in text
        assert "-  shop-report-0015" in text
        assert "Delete 16 deployments? y/N" in await user.press("a")
        await user.press("escape")

    use(state, story)


def test_y_copies_over_the_terminal(state: State) -> None:
    async def story(user: User) -> None:
        text = await user.press("j", "y")
        assert "Copy: n name  i run id  r reason" in text
        assert "Copied crm-nps-import" in await user.press("n")
        assert user.app.clipboard == "crm-nps-import"
        await user.press("y", "i")
        assert user.app.clipboard == run_id(1, 1)
        await user.press("y", "r")
        assert user.app.clipboard.startswith("KeyError: 'amount'")
        await user.press("7", "y", "c")
        assert len(user.app.clipboard) == 40

    use(state, story)


def test_question_mark_shows_the_keys(state: State) -> None:
    async def story(user: User) -> None:
        text = await user.press("question_mark")
        assert "review the withheld deletions" in text
        assert "[1]Problems" in await user.press("escape")

    use(state, story)


def test_q_leaves_and_asks_before_it_stops_a_controller(state: State) -> None:
    async def leave(user: User) -> None:
        await user.press("q")

    assert use(state, leave).return_value == 0

    async def stop(user: User) -> None:
        assert "Stop the controller? Running flows continue. y/N" in await user.press("q")
        await user.press("n")
        assert user.app.return_value is None
        await user.press("q", "y")

    read, write = os.pipe()
    try:
        assert use(state, stop, owner=read).return_value == 0
    finally:
        os.close(read)
        os.close(write)


def test_ctrl_c_leaves_at_once(state: State) -> None:
    async def story(user: User) -> None:
        await user.press("3", "slash", "ctrl+c")

    assert use(state, story).return_value == 0
