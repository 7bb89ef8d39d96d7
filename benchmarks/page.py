"""Generates the tables of docs/performance.md from benchmarks/recorded.json; all other text of the page is kept.

`python -m benchmarks.page` records benchmarks/results.json first, for `make bench-page`. `tests.generated` checks that
the page is current.
"""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

FILE = "docs/performance.md"
PARTS = ("quick", "growth", "databases", "peers", "places")
RESULTS = Path(__file__).parent / "results.json"
RECORDED = Path(__file__).parent / "recorded.json"
_PAGE = Path(__file__).parents[1] / FILE
_TABLE = re.compile(r"(<!-- table: (\w+) -->\n).*?(?=<!-- end -->)", re.DOTALL)
QUIET_FORK_MS = 5.0
"""A fork takes about 1 ms on a quiet machine, and longer if other programs use the cores."""
_TIMED_UNITS = ("ms", "runs/s")
"""The units of delays and rates, which depend on what else the machine does. CPU times and memory hardly do."""
_FEWEST_RUNS = 10
"""With fewer runs, the CPU time of each includes too much of what the tool does anyway."""
_THOUSANDS = re.compile(r"\b\d{4,}\b")


def main() -> None:
    """Record the parts that were measured, and write the page."""
    results = json.loads(RESULTS.read_text())
    recorded = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    for part in PARTS:
        if part in results:
            recorded[part] = results[part]
    RECORDED.write_text(to_text(recorded))
    _PAGE.write_text(generate(), encoding="utf-8")


def to_text(recorded: dict[str, Any]) -> str:
    """Return the parts as JSON with one row per line."""
    parts = []
    for part, content in recorded.items():
        rows = ",\n".join(f"  {json.dumps(row, ensure_ascii=False)}" for row in content["rows"])
        about = {key: value for key, value in content.items() if key != "rows"}
        parts.append(f'{json.dumps(part)}: {json.dumps(about)[:-1]}, "rows": [\n{rows}\n ]}}')
    return "{" + ",\n ".join(parts) + "}\n"


def generate() -> str:
    """Return the text of the page."""
    recorded = json.loads(RECORDED.read_text())
    return _TABLE.sub(lambda mark: f"{mark[1]}{table(mark[2], recorded)}\n", _PAGE.read_text(encoding="utf-8"))


def table(part: str, recorded: dict[str, Any]) -> str:
    """Return the table of a part, and below it when and where it was measured."""
    content = recorded[part]
    rows = content["rows"]
    is_compared = part == "places"  # its rates were measured in turn, and only their order matters
    shown = [row for row in rows if is_compared or _is_meaningful(row)]
    readers = {"quick": _quick, "growth": _growth, "databases": _databases, "peers": _peers, "places": _places}
    lines = readers[part](shown)
    python, fork, fsync = (_range([row["speed"][name] for row in rows]) for name in ("python", "fork", "fsync"))
    place = (
        f"Measured on {content['date']} with {content['cores']} cores and Python {content['python']}. Bare Python took "
        f"{python} ms of CPU. A fork took {fork} ms, and an fsync {fsync} ms of wall time."
    )
    if left_out := len(rows) - len(shown):
        place += f" Left out, because the machine was busy: {left_out} rates and delays."
    return "\n".join((*lines, "", place))


def _is_meaningful(row: dict[str, Any]) -> bool:
    """Return whether a row is neither a rate nor a delay, or the machine was quiet when it was measured."""
    return row["unit"] not in _TIMED_UNITS or row["speed"]["fork"] <= QUIET_FORK_MS


def _quick(rows: list[dict[str, Any]]) -> Iterator[str]:
    yield "| measured | value | ratio | goal | met | bare Python |"
    yield "|---|---|---|---|---|---|"
    for row in rows:
        ratio = "" if row["ratio"] is None else f"{_number(row['ratio'])} x {row['ratio_of']}"
        met = {None: "", True: "yes", False: "**no**"}[row["is_met"]]
        value = f"{_number(row['value'])} {row['unit']}"
        python = f"{_number(row['speed']['python'])} ms"
        yield f"| {_spaced(row['what'])} | {value} | {ratio} | {row['goal'] or ''} | {met} | {python} |"


def _growth(rows: list[dict[str, Any]]) -> Iterator[str]:
    yield from _pivot("deployments", ((*_split(row["what"], " deployments: "), row) for row in rows))


def _databases(rows: list[dict[str, Any]]) -> Iterator[str]:
    yield from _pivot("runs due at the same instant", ((*_split(row["what"], ": "), row) for row in rows))


def _peers(rows: list[dict[str, Any]]) -> Iterator[str]:
    cells = [(*_split(row["what"], ": "), row) for row in rows]
    small = {tool for tool, line, row in cells if line == "runs due at once" and row["value"] < _FEWEST_RUNS}
    yield from _pivot("measured", (cell for cell in cells if cell[1] != "each, all processes" or cell[0] not in small))


def _places(rows: list[dict[str, Any]]) -> Iterator[str]:
    yield from _pivot("--max-running", ((*_split(row["what"], " places: "), row) for row in rows))


def _pivot(corner: str, cells: Iterable[tuple[str, str, dict[str, Any]]]) -> Iterator[str]:
    """Yield a table with a column for each first name, and a line for each second one."""
    columns: list[str] = []
    values: dict[str, dict[str, str]] = {}
    for column, line, row in cells:
        if column not in columns:
            columns.append(column)
        values.setdefault(f"{line} ({row['unit']})", {})[column] = _number(row["value"])
        if row["memory"] is not None:
            values.setdefault(f"{line}: peak memory (MiB)", {})[column] = _number(row["memory"])
    yield f"| {corner} | {' | '.join(map(_spaced, columns))} |"
    yield f"|---|{'---|' * len(columns)}"
    for line, found in values.items():
        yield f"| {line} | {' | '.join(found.get(column, '') for column in columns)} |"


def _split(text: str, separator: str) -> tuple[str, str]:
    first, _, second = text.partition(separator)
    return first, second


def _range(values: list[float]) -> str:
    return f"{_number(min(values))} to {_number(max(values))}"


def _number(value: float) -> str:
    """Return a number with two or three significant digits."""
    digits = 0 if abs(value) >= 20 or value == int(value) else 1 if abs(value) >= 2 else 2
    return f"{value:,.{digits}f}"


def _spaced(text: str) -> str:
    """Return the text with commas in its large numbers."""
    return _THOUSANDS.sub(lambda number: f"{int(number[0]):,}", text)


if __name__ == "__main__":
    main()
