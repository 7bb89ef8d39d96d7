"""How many requests the live view sends, while nothing happens and while the state keeps changing."""

from collections import Counter
from datetime import timedelta

from tests.unit.cli.live_view.conftest import Screen, State

SECOND = timedelta(seconds=1)


def tick(screen: Screen, seconds: int, *, with_changes: bool = False) -> Counter[str]:
    """Let seconds pass, and return the number of requests by path."""
    screen.client.requests.clear()
    for _ in range(seconds):
        screen.clock.turn(SECOND)
        for _ in range(20 if with_changes else 0):
            screen.view.on_change()
        screen.view.on_tick()
    return Counter(request.partition("?")[0] for request in screen.client.requests)


def test_an_idle_view_sends_four_requests_in_five_minutes(state: State) -> None:
    screen = state.screen()
    assert tick(screen, 299).total() == 0
    assert tick(screen, 1) == {f"GET /{path}": 1 for path in ("summary", "activity", "attention", "in-progress")}
    assert tick(screen, 299).total() == 0


def test_a_view_of_a_busy_controller_refreshes_every_two_seconds(state: State) -> None:
    requests = tick(state.screen(), 60, with_changes=True)
    assert requests == {"GET /summary": 30, "GET /attention": 30, "GET /in-progress": 30, "GET /activity": 1}


def test_only_visible_rows_are_loaded(state: State) -> None:
    screen = state.screen()
    screen.client.requests.clear()
    screen.press("3")
    [rows] = [request for request in screen.client.requests if request.startswith("GET /deployments")]
    assert "offset=0&limit=20&" in rows
    screen.client.requests.clear()
    screen.press("pagedown", "pagedown")
    limits = [request.partition("limit=")[2].partition("&")[0] for request in screen.client.requests]
    assert set(limits) == {"20"}
    screen.client.requests.clear()
    screen.press("up", "down")
    assert screen.client.requests == []


def test_the_log_of_a_finished_run_is_loaded_once(state: State) -> None:
    screen = state.screen().press("j", "l")
    tick(screen, 2)
    assert tick(screen, 30).total() == 0


def test_a_lost_controller_is_reported_and_the_rows_stay(state: State) -> None:
    screen = state.screen()
    screen.view.on_lost("no controller is running")
    assert "○ no controller is running" in screen.lines[0]
    assert "crm-nps-import" in screen.text
    assert tick(screen, 600).total() == 0
    screen.view.on_change()
    assert "no controller is running" not in screen.text
