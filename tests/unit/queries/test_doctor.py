"""The checks of git and of watching in `controller doctor`."""

from pathlib import Path

import pytest

from controller.queries.doctor import checks
from controller.store.state_directory import StateDirectory


@pytest.mark.parametrize(
    ("output", "status"),
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
def test_an_old_or_unknown_git_version_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str, status: str
) -> None:
    program = tmp_path / "git"
    program.write_text(f"#!/bin/sh\necho '{output}'\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    results = {
        check.name: check for check in checks(StateDirectory(tmp_path / "state"), lambda: "sha1:0", lambda: None)
    }
    assert results["git"].status == status


@pytest.mark.parametrize(
    ("problem", "status", "message"),
    [
        (None, "ok", "local changes are noticed at once"),
        ("no inotify watch is left", "warning", "changes are only noticed by polling: no inotify watch is left"),
    ],
)
def test_polling_without_watching_is_a_warning(tmp_path: Path, problem: str | None, status: str, message: str) -> None:
    by_name = {check.name: check for check in checks(StateDirectory(tmp_path / "state"), lambda: "", lambda: problem)}
    assert (by_name["watching"].status, by_name["watching"].message) == (status, message)
