"""The quick benchmarks: what the goals are about, in three minutes on two quiet cores (`make bench QUICK=1`)."""

from collections.abc import Iterator
from pathlib import Path

from benchmarks import commands, firing, growth
from benchmarks.measure import result_of
from benchmarks.repositories import make_repository
from benchmarks.rows import Goal, Row, scaled

NO_OPS = {"warm": 300, "cold": 100, "alone": 40}
HERD = 300
SPREAD = 1000
FILES = 1000
SIZES = (100, 10_000)


def measure(work: Path) -> Iterator[Row]:
    """Run the quick benchmarks."""
    yield from commands.measure_alone()
    yield from commands.measure_asking(work / "asking", scaled(100))
    files = make_repository(work / "files", scaled(FILES), 'cron: "{minute} {hour} * * *"')
    yield from commands.measure_validate(files)
    for kind, goal in (("warm", 1.0), ("cold", 1.5), ("alone", 1.5)):
        script = commands.measure_script(files)
        yield from no_op_runs(work / kind, kind, scaled(NO_OPS[kind]), goal, script)
    yield from firing.measure_herds(work / "herd", scaled(HERD))
    yield from growth.measure_sizes(work / "sizes", [scaled(size) for size in SIZES])
    yield from firing.measure_spread(work / "spread", scaled(SPREAD))


def no_op_runs(directory: Path, kind: str, count: int, limit: float, script: float) -> Iterator[Row]:
    """Measure a flow that does nothing, in all processes; `benchmarks.runs` describes the kinds.

    A warm run is compared with bare Python, and others with the flow's file as a script, which takes `script` ms.
    """
    directory.mkdir()
    result = result_of("benchmarks.runs", kind, count, directory)
    goal = Goal(limit=limit, is_ratio=True)
    if kind == "warm":
        yield Row(what="one no-op run, warm, all processes", value=result["cpu"], unit="ms CPU", goal=goal)
        yield Row(what="the same, controller's own process", value=result["own"], unit="ms CPU")
        rate = Goal(limit=0.75, is_ratio=True, is_least=True)
        yield Row(what="no-op runs, warm, rate", value=result["rate"], unit="runs/s", goal=rate)
        return
    title = {"cold": "cold", "alone": "cold and without a fork server"}[kind]
    yield Row(what="python flow.py: the flow as a script", value=script, unit="ms CPU")
    yield Row(
        what=f"one no-op run, {title}, all processes",
        value=result["cpu"],
        unit="ms CPU",
        ratio=result["cpu"] / script,
        ratio_of="python flow.py",
        goal=goal,
    )
    yield Row(what=f"no-op runs, {title}, rate", value=result["rate"], unit="runs/s")
