"""Fixtures of `tests.unit.runs`. No test here starts a supervisor, so one way to start them is enough."""

import pytest

from tests.unit.runs.conftest import world

__all__ = ["start", "world"]


@pytest.fixture
def start() -> str:
    return "cold"
