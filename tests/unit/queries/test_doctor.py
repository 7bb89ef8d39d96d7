"""What `controller doctor` makes of the git that it finds."""

from pathlib import Path

import pytest

from controller.queries.doctor import checks
from controller.store.state_directory import StateDirectory


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("git version 2.39.5", "ok"),
        ("git version 2.31.0", "ok"),
        ("git version 2.50.1 (of somebody)", "ok"),
        ("git version 2.47.0.windows.1", "ok"),
        ("git version 10.0.rc1", "ok"),
        ("git version 2.30.9", "error"),
        ("git version 1.8.3.1", "error"),
        ("", "error"),
    ],
)
def test_a_git_that_will_not_do_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, status: str
) -> None:
    program = tmp_path / "git"
    program.write_text(f"#!/bin/sh\necho '{said}'\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = {check.name: check for check in checks(StateDirectory(tmp_path / "state"), lambda: "sha1:0", lambda: None)}
    assert found["git"].status == status


@pytest.mark.parametrize(
    ("problem", "status", "message"),
    [
        (None, "ok", "local changes are noticed at once"),
        ("no inotify watch is left", "warning", "changes are only noticed by polling: no inotify watch is left"),
    ],
)
def test_changes_that_can_only_be_polled_for_are_a_warning(
    tmp_path: Path, problem: str | None, status: str, message: str
) -> None:
    found = {check.name: check for check in checks(StateDirectory(tmp_path / "state"), lambda: "", lambda: problem)}
    assert (found["watching"].status, found["watching"].message) == (status, message)
