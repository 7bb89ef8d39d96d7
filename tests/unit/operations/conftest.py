"""Fixtures of `tests.unit.runs`, and small pages. No test here starts a supervisor, so one way to start is enough."""

import pytest

from controller.operations import bulk_filters
from controller.runs import backfill_runs
from tests.unit.runs.conftest import world

__all__ = ["start", "world"]

BACKFILL_PAGE = 50
REFILL = 25
BULK_PAGE = 20


@pytest.fixture
def start() -> str:
    return "cold"


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make pages of 50 and 20 runs instead of 1,000 and 250, so that tests of several pages need few runs."""
    monkeypatch.setattr(backfill_runs, "PAGE", BACKFILL_PAGE)
    monkeypatch.setattr(backfill_runs, "REFILL", REFILL)
    monkeypatch.setattr(bulk_filters, "PAGE", BULK_PAGE)
