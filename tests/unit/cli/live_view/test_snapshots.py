"""The text of the live view on small and large screens, with few and many deployments, compared with stored text.

    UPDATE_SNAPSHOTS=1 python -m pytest tests/unit/cli/live_view/test_snapshots.py

writes the stored text again.
"""

import os
from pathlib import Path

import pytest
from rich.cells import cell_len

from controller import __version__
from controller.cli.live_view.pages import Names
from tests.unit.cli.live_view.conftest import Screen, State

SNAPSHOTS = Path(__file__).parent / "snapshots"
SIZES = [(80, 24), (120, 40), (200, 60)]
TABS = ["problems", "running", "deployments", "runs", "queues", "events", "git"]
PAGES = {
    "deployment": ["enter"],
    "run": ["4", "G", "enter"],
    "failed-log": ["l"],
    "commit": ["7", "enter"],
    "withheld": ["a"],
    "help": ["?"],
    "question": ["r"],
}


def check(screen: Screen, name: str) -> None:
    """Compare the screen with its stored text, and make sure that each line fits."""
    view = screen.view
    assert len(screen.lines) == view.height
    assert [line for line in screen.lines if cell_len(line) > view.width or "\n" in line] == []
    text = screen.text.replace(__version__, "0.0.0") + "\n"
    path = SNAPSHOTS / f"{name}.txt"
    if os.environ.get("UPDATE_SNAPSHOTS"):  # noqa: TID251
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("state", [5, 76, 3000], indirect=True)
def test_problems_and_deployments_fit_every_screen(state: State, request: pytest.FixtureRequest) -> None:
    count = request.node.callspec.params["state"]
    for width, height in SIZES:
        screen = state.screen(width, height)
        check(screen, f"problems-{count}-{width}x{height}")
        check(screen.press("3", "G"), f"deployments-{count}-{width}x{height}")


@pytest.mark.parametrize(("number", "name"), list(enumerate(TABS, start=1)))
def test_each_tab_fits_a_small_screen(state: State, number: int, name: str) -> None:
    check(state.screen().press(str(number)), f"tab-{name}")


@pytest.mark.parametrize("name", PAGES)
def test_each_page_fits_a_small_screen(state: State, name: str) -> None:
    screen = state.screen()
    screen.press("j") if name in ("deployment", "failed-log", "question") else None
    check(screen.press(*PAGES[name]), f"page-{name}")


@pytest.mark.parametrize("size", [(20, 6), (40, 10), (1, 1), (300, 5)])
def test_very_small_screens_do_not_fail(state: State, size: tuple[int, int]) -> None:
    screen = state.screen(*size)
    for key in "1234567":
        screen.press(key, "down", "enter", "escape")
        assert len(screen.lines) == size[1]
        assert all(cell_len(line) <= size[0] for line in screen.lines)


def test_a_narrow_screen_shows_the_open_tab_and_the_age_of_the_commit(state: State) -> None:
    screen = state.screen(60, 15)
    for number, name in enumerate(TABS, start=1):
        lines = screen.press(str(number)).lines
        assert f"[{number}]{name.title()}" in lines[2]
        assert not lines[3].rstrip().endswith("…")
        assert " 54m " in lines[0]


def test_the_selected_row_stays_in_a_full_screen_when_it_moves_to_the_end() -> None:
    names = [("", f"report-{number}") for number in range(30)]
    listing = Names(names)
    listing.move(2)
    listing.show([*names[:2], *names[3:], names[2]])
    listing.scroll(10)
    assert (listing.selected, listing.top) == (29, 20)


def test_a_fixed_list_can_be_filtered_and_ignores_what_was_loaded_before_it() -> None:
    listing = Names()
    stale = listing.part
    listing.show([("-", "report"), ("-", "import")])
    listing.update(stale)
    assert listing.end == 2
    listing.restrict("IMP")
    assert [item["name"] for item in listing.part.items] == ["import"]
    listing.restrict("")
    assert listing.end == 2
