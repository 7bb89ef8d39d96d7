"""The command of the benchmarks: what it keeps of the results."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks.rows import Row


def one_row(work: Path) -> Iterator[Row]:
    assert work.is_dir()
    yield Row(what="first", value=1.0, unit="s")


def row_and_error(work: Path) -> Iterator[Row]:
    yield from one_row(work)
    raise RuntimeError("made up")


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "results.json"
    monkeypatch.setattr(command, "RESULTS", path)
    monkeypatch.setattr(command, "PARTS", {"quick": one_row, "growth": row_and_error})
    return path


def labels(results: Path) -> dict[str, list[str]]:
    return {part: [row["what"] for row in content["rows"]] for part, content in json.loads(results.read_text()).items()}


def test_a_part_is_printed_and_recorded_beside_the_other_parts(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results.write_text('{"peers": {"date": "2026-11-30", "rows": [{"what": "other"}]}}')
    command.run(["quick"])
    assert labels(results) == {"peers": ["other"], "quick": ["first"]}
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["what", "first"]


def test_rows_before_an_error_are_recorded(results: Path) -> None:
    with pytest.raises(RuntimeError, match="made up"):
        command.run(["growth"])
    assert labels(results) == {"growth": ["first"]}
