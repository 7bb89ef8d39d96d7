"""The log of a standby while the server can't be used."""

import logging
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from controller.app import leading
from controller.app.leading import Leading
from controller.app.stop_signal import StopSignal
from controller.clock import SystemClock
from controller.errors import StateError, StoppingError
from controller.state_url import StateUrl
from tests.conftest import wait_until


def test_a_standby_logs_the_same_failure_once(
    postgresql_url: StateUrl, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leading, "_POLL_SECONDS", 0.01)
    standby = Leading(postgresql_url, SystemClock(), f"here:{tmp_path}", timedelta(seconds=1))
    attempts: list[str] = []

    def fail() -> bool:
        if not attempts:
            attempts.append("another leads")
            return False
        attempts.append("failed")
        raise StateError("It is away." if len(attempts) < 8 else "It is still away.")

    monkeypatch.setattr(standby.leadership, "try_lock", fail)
    signal = StopSignal()

    def wait() -> None:
        with pytest.raises(StoppingError):
            standby.wait(signal)

    with caplog.at_level(logging.INFO):
        thread = threading.Thread(target=wait)
        thread.start()
        wait_until(lambda: len(attempts) > 12)
        signal.set()
        thread.join()
    errors = [getattr(record, "error", None) for record in caplog.records if "retrying" in record.message]
    assert errors == ["It is away.", "It is still away."]
