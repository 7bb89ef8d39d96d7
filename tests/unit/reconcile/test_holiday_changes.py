"""A pass records which holidays it knows, and reports the fire times that move with another version of the package."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from controller.model.calendars import HolidayData, Holidays
from controller.model.status import Event
from controller.schedules.holiday_data import data_version
from controller.store import holiday_records
from tests.unit.reconcile.conftest import World, hourly

BAVARIA = Holidays(code="DE-BY")
CALENDARS = "calendars: {de-by: {holidays: DE-BY}}\n"
DAILY = "name: daily\ncommand: ['true']\nschedule: {cron: 30 7 * * *, timezone: Europe/Berlin, except: [de-by]}\n"


@pytest.fixture
def daily(world: World) -> World:
    """`daily` with a calendar, and `hourly` without one."""
    world.put(daily=DAILY + CALENDARS, hourly=hourly("hourly"))
    return world


def recorded(world: World) -> HolidayData:
    with world.store.read() as tx:
        found = holiday_records.find(tx)
    assert found is not None
    return found


def pretend(world: World, version: str, *, without: str = "", extra: str = "") -> None:
    """Change the record as if another version, with other holidays, had made it."""
    data = recorded(world)
    days = {day: name for day, name in data.days[BAVARIA].items() if day.isoformat() != without}
    days |= {date.fromisoformat(extra): "Old Day"} if extra else {}
    with world.store.write() as tx:
        holiday_records.save(tx, replace(data, version=version, days={BAVARIA: days}))


def moves(world: World) -> list[Event]:
    return [event for event in world.events() if event.reason == "HolidaysChanged"]


def test_the_holidays_of_calendars_are_recorded_with_the_version_of_the_package(daily: World) -> None:
    data = recorded(daily)
    assert (data.version, data.first_year, set(data.days)) == (data_version(), 2026, {BAVARIA})
    assert data.days[BAVARIA][date(2028, 12, 25)] == "Christmas Day"
    other = DAILY.replace("daily", "other").replace("de-by", "be") + "calendars: {be: {holidays: DE-BE}}\n"
    daily.put(other=other)
    assert set(recorded(daily).days) == {BAVARIA, Holidays(code="DE-BE")}


def test_after_an_upgrade_an_event_reports_the_fire_times_that_move(daily: World) -> None:
    pretend(daily, "0.1", without="2026-12-25", extra="2026-07-07")
    daily.restart()
    daily.put()
    [event] = moves(daily)
    assert (event.about, event.severity) == ("daily", "warning")
    assert event.message == (
        f"Due times move because of holidays 0.1 -> {data_version()} (2026-07-07 Old Day removed in de-by, 2026-12-25 "
        "Christmas Day added in de-by). Left out: 2026-12-25 06:30:00 UTC. New: 2026-07-07 05:30:00 UTC."
    )
    assert recorded(daily).version == data_version()
    daily.restart()
    daily.put()
    assert len(moves(daily)) == 1


def test_an_upgrade_that_moves_nothing_is_only_recorded(daily: World) -> None:
    pretend(daily, "0.1", extra="2026-05-05")
    daily.restart()
    daily.put()
    assert moves(daily) == []
    assert recorded(daily).version == data_version()


def test_a_suspended_deployment_does_not_move(daily: World) -> None:
    daily.put(daily=DAILY + CALENDARS + "suspend: true\n")
    pretend(daily, "0.1", extra="2026-07-07")
    daily.restart()
    daily.put()
    assert moves(daily) == []


def test_each_year_the_record_begins_with_that_year(daily: World) -> None:
    daily.clock.turn(timedelta(days=365))
    daily.put(new=hourly("new"))
    assert recorded(daily).first_year == 2027
    assert moves(daily) == []


def test_without_calendars_nothing_but_the_version_is_recorded(world: World) -> None:
    world.put(a=hourly("a"))
    data = recorded(world)
    assert (data.version, data.days) == (data_version(), {})
