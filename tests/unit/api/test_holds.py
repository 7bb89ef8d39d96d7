"""A held deployment: no fire time during the hold is shown anywhere."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from controller.clock import SystemClock
from controller.queries.serialization import utc
from tests.unit.api.conftest import Served

OFTEN = "name: often\ncommand: [echo]\nschedules: [{cron: '*/5 * * * *'}]\n"
PATH = "/api/v1/deployments/often"


@pytest.fixture
def often(served: Served) -> Iterator[Served]:
    """The controller with the deployment `often`, which is not held."""
    served.commit({"deployments/often.yaml": OFTEN})
    yield served
    served.post(f"{PATH}/resume")


def times(given: list[str]) -> list[datetime]:
    return [datetime.fromisoformat(one) for one in given]


def everything(served: Served) -> list[list[datetime]]:
    """Return the next fire times of `often` from each source that shows them."""
    detail: Any = served.get(PATH).json()
    fires = [one["fire_time"] for one in served.get("/api/v1/fire-times").json() if one["deployment"] == "often"]
    return [
        times(fires),
        times([detail["next_fire_time"]] if detail["next_fire_time"] else []),
        times(detail["schedules"][0]["fire_times"]),
        times(served.get(f"{PATH}/fire-times").json()["fire_times"]),
        times(served.get(f"{PATH}/fire-times?after=2020-01-01T00:00:00Z").json()["fire_times"]),
    ]


def page_of(served: Served) -> str:
    return served.get("/deployments/often?tab=schedule", Accept="text/html").text


def section(page: str, name: str) -> str:
    found = re.search(rf'<section class="card" id="{name}".*?</section>', page, re.DOTALL)
    assert found is not None
    return found[0]


def test_a_deployment_held_until_a_time_has_fire_times_after_it_everywhere(often: Served) -> None:
    until = SystemClock().now() + timedelta(days=2)
    assert often.post(f"{PATH}/hold", {"reason": "it moves", "until": until.isoformat()}).status == 200
    found = everything(often)
    assert {len(one) for one in found} == {1, 5, 10}
    assert {one[0] for one in found} == {found[0][0]}
    assert found[0][0] > until
    page = page_of(often)
    shown = times(re.findall(r'<time datetime="([^"]+)"', section(page, "schedules")))
    assert len(shown) >= 5
    assert min(shown) >= until
    assert "held until" in section(page, "schedules").lower()
    assert utc(until) in section(page, "calendar")


def test_a_deployment_held_without_end_has_no_fire_times_anywhere(often: Served) -> None:
    assert often.post(f"{PATH}/hold", {"reason": "it moves"}).status == 200
    assert everything(often) == [[]] * 5
    page = page_of(often)
    assert "held: no schedule fires until you resume the deployment" in section(page, "schedules").lower()
    assert "Held: no schedule fires until you resume the deployment." in section(page, "calendar")
    assert often.post(f"{PATH}/resume").status == 200
    assert all(everything(often))


def test_a_deployment_held_past_its_last_fire_time_has_no_more_fire_times(often: Served) -> None:
    soon, later = (utc(SystemClock().now() + timedelta(hours=hours)) for hours in (1, 2))
    often.commit({"deployments/often.yaml": f"name: often\ncommand: [echo]\nschedules: [{{at: '{soon}'}}]\n"})
    assert often.post(f"{PATH}/hold", {"reason": "it moves", "until": later}).status == 200
    page = page_of(often)
    assert "no more fire times" in section(page, "schedules")
    assert "No fire times in the next five weeks." in section(page, "calendar")
