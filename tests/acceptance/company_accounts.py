"""Checks the records about the company of `company` after everything was killed at random.

Each check compares two records that were made independently of each other: what the world did, what the flows wrote
themselves, and what the state says.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from tests.acceptance.company import World
from tests.acceptance.harness import Repository

UNFINISHED = """
    SELECT id, deployment, state FROM runs WHERE state IN ('pending', 'launching', 'running', 'retrying')
    UNION ALL SELECT run_id, deployment, 'not evaluated' FROM finished_upstreams
    UNION ALL SELECT run_id, upstream, state FROM gates WHERE state = 'redone'
"""
"""All that the controller still has to do."""
SKIPS = ("upstream: ", "overlap", "catch-up", "deadline", "calendar company-holidays: ")
"""How the reasons of due times without a run begin."""
KILLED = ("outcome unknown: the supervisor was killed", "ended by SIGKILL")
"""How the reasons of attempts that did not succeed begin. Nothing but a kill ends them."""
FAILURES = ("failed", "crashed", "timed_out")
INTERVALS = {
    "report": 3,
    "collect-eu": 3,
    "collect-us": 3,
    "summary-eu": 6,
    "summary-us": 6,
    "overview": 5,
    "on-holiday": 3,
}


class Finished(NamedTuple):
    """A run that has finished, with the first run of its chain of retries and the upstream runs that released it."""

    id: str
    deployment: str
    state: str
    first: str
    upstream: tuple[str, ...]


class Accounts:
    """Everything that is recorded about the company."""

    def __init__(self, repository: Repository, effects: Path) -> None:
        self._repository = repository
        self._effects = [line.split() for line in effects.read_text().splitlines()]
        retry_of = dict(repository.select("SELECT id, retry_of FROM runs"))
        self._runs: dict[str, Finished] = {}
        for run_id, deployment, state in repository.select("SELECT id, deployment, state FROM runs ORDER BY id"):
            first = run_id
            while retry_of.get(first):
                first = retry_of[first]
            upstream = repository.select(
                "SELECT json_extract(value, '$.run_id') FROM runs, json_each(runs.upstream) WHERE runs.id = ?", run_id
            )
            self._runs[run_id] = Finished(run_id, deployment, state, first, tuple(row[0] for row in upstream))

    def check(self, world: World, end: datetime) -> None:
        """Check everything, once all runs have finished. The schedules end at `end`."""
        self.check_files(world)
        self.check_deliveries(world, is_complete=True)
        self.check_redos(world)
        self.check_attempts()
        self.check_dependants()
        self.check_joint_runs()
        self.check_due_times(end)
        self.check_gates()
        self.check_summaries()
        self.check_repeats()
        self.check_leftovers()

    def check_files(self, world: World) -> None:
        """Each file has released one run, by its key."""
        keys = self._repository.select("SELECT idempotency_key FROM runs WHERE trigger = 'file'")
        assert sorted(key for (key,) in keys) == sorted(version.key for version in world.dropped)

    def check_deliveries(self, world: World, *, is_complete: bool) -> None:
        """Each answered delivery has one run, and each other one at most one; all have one if `is_complete`."""
        orders = Counter(
            row[0]
            for row in self._repository.select(
                "SELECT json_extract(parameters, '$.order') FROM runs WHERE trigger = 'webhook'"
            )
        )
        for delivery in world.deliveries:
            assert len(delivery.runs) <= 1, f"{delivery} was answered with several runs"
            count = orders.pop(delivery.order, 0)
            assert count == 1 or (count == 0 and not delivery.runs and not is_complete), (delivery, count)
        assert not orders, "runs without a delivery"

    def check_redos(self, world: World) -> None:
        """Each retry that was answered is there, and no run was retried more often than requested."""
        requested = Counter(redo.run_id for redo in world.redone)
        retries = Counter(
            run[0] for run in self._repository.select("SELECT retry_of FROM runs WHERE retry_of NOT NULL")
        )
        assert retries <= requested, retries - requested
        assert {redo.new_id for redo in world.redone if redo.new_id} <= self._runs.keys()

    def check_attempts(self) -> None:
        """The flows wrote what the state records: each attempt once, and no success without a flow."""
        begun = Counter((run_id, int(attempt)) for text, _, run_id, attempt, _ in self._effects if text == "begin")
        ended = Counter((run_id, int(attempt)) for text, _, run_id, attempt, _ in self._effects if text == "end")
        assert set(begun.values()) <= {1}, [key for key, count in begun.items() if count > 1]
        assert ended <= begun
        attempts = self._repository.select("SELECT run_id, number, state, reason FROM attempts")
        recorded = {(run_id, number): (state, reason) for run_id, number, state, reason in attempts}
        assert begun.keys() <= recorded.keys(), begun.keys() - recorded.keys()
        for key, (state, reason) in recorded.items():
            assert (key in ended) or state != "succeeded", f"{key} has succeeded without an end"
            assert state == "succeeded" or str(reason).startswith(KILLED), (key, state, reason)
        last = {run_id: recorded[run_id, number][0] for run_id, number in sorted(recorded)}
        differing = {run_id: state for run_id, state in last.items() if self._runs[run_id].state != state}
        assert not differing

    def check_dependants(self) -> None:
        """Each finish of an upstream run has released one run of each dependant, or one for each chain of retries."""
        ingests = self._of("ingest")
        succeeded = [run.id for run in ingests if run.state == "succeeded"]
        for name in ("transform-eu", "transform-us"):
            assert sorted(self._released_by(name)) == sorted(succeeded), name
        assert sorted(self._released_by("audit")) == sorted({run.first for run in ingests})
        failed = {run.first for run in [*ingests, *self._of("refund-check")] if run.state in FAILURES}
        assert sorted(self._runs[run_id].first for run_id in self._released_by("alert")) == sorted(failed)

    def check_joint_runs(self) -> None:
        """Each chain of upstream runs counts for at most one joint run, and none is left that could have one."""
        used = Counter(self._released_by("book"))
        assert set(used.values()) <= {1}
        assert all(len(run.upstream) == 2 for run in self._of("book"))
        pending = self._repository.select(
            "SELECT DISTINCT upstream FROM releases WHERE deployment = 'book' AND run_id IS NULL"
        )
        assert len(pending) < 2

    def check_due_times(self, end: datetime) -> None:
        """Each due time is in the ledger once, with a run or with a reason that fits."""
        for name, seconds in INTERVALS.items():
            ledger = self._repository.ledger(name)
            times = [datetime.fromisoformat(instant + "+00:00") for instant, *_ in ledger]
            for earlier, later in itertools.pairwise(times):
                assert later - earlier == timedelta(seconds=seconds), f"{name}: {earlier} is followed by {later}"
            assert times[-1] > end - timedelta(seconds=seconds), f"{name}: its last due time is {times[-1]}"
            assert times[-1] <= end or name == "on-holiday"
            for instant, outcome, run_id, reason in ledger:
                is_accounted = run_id in self._runs if outcome == "run" else str(reason).startswith(SKIPS)
                assert is_accounted, (name, instant, outcome, run_id, reason)
        holidays = {
            (outcome, str(reason).partition(":")[0]) for _, outcome, _, reason in self._repository.ledger("on-holiday")
        }
        assert holidays == {("skipped", "calendar company-holidays")}

    def check_gates(self) -> None:
        """No gated run has started before its upstream runs had finished, and the last ones have the latest of them."""
        early = """
            SELECT gated.id, upstream.id FROM runs AS gated JOIN json_each(gated.upstream) AS used
            JOIN runs AS upstream ON upstream.id = json_extract(used.value, '$.run_id')
            WHERE gated.scheduled_for NOT NULL AND gated.started_at < upstream.finished_at
        """
        assert self._repository.select(early) == []
        assert self._repository.select("SELECT * FROM gates WHERE state = 'redone'") == []
        latest = self._latest_of_chains()
        newest: dict[str, str] = dict(
            self._repository.select("SELECT scheduled_for, max(id) FROM runs WHERE deployment = 'report' GROUP BY 1")
        )
        for due_time, run_id in newest.items():
            run = self._runs[run_id]
            assert len(run.upstream) in ((0, 1, 2) if run.state == "skipped" else (2,)), run
            assert all(latest[each] == each for each in run.upstream), f"report of {due_time} is not the last one"

    def check_summaries(self) -> None:
        """The summary of a due time has the run of exactly this due time, or is skipped for what happened to that."""
        for region in ("eu", "us"):
            collected = {instant: row for instant, *row in self._repository.ledger(f"collect-{region}")}
            for instant, _, run_id, reason in self._repository.ledger(f"summary-{region}"):
                upstream = self._runs[run_id].upstream if run_id else ()
                of_time = "SELECT id FROM runs WHERE deployment = ? AND scheduled_for = ?"
                possible = {row[0] for row in self._repository.select(of_time, f"collect-{region}", instant)}
                assert set(upstream) <= possible, (instant, upstream)
                _, skipped, why = str(reason).partition(f"upstream: collect-{region} was skipped ")
                assert not skipped or why == f"({collected[instant][2]})", (instant, reason, collected[instant])

    def check_repeats(self) -> None:
        """The report of a due time was repeated at most once for each repeated run of a transformation."""
        chains = self._transforms()
        lengths = Counter(chains.values())
        by_id = {run.id: first for run, first in chains.items()}
        reports = defaultdict(list)
        for due_time, run_id in self._repository.select(
            "SELECT scheduled_for, id FROM runs WHERE deployment = 'report'"
        ):
            reports[due_time].append(self._runs[run_id])
        for due_time, of_time in reports.items():
            firsts = {by_id[each] for run in of_time for each in run.upstream}
            assert len(of_time) <= 1 + sum(lengths[first] - 1 for first in firsts), f"report of {due_time}"

    def check_leftovers(self) -> None:
        """No temporary directory, no directory of an unknown run, and nothing that still has to be evaluated."""
        assert self._repository.select("SELECT * FROM finished_upstreams") == []
        temporary = [each for *_, each in self._effects if Path(each).exists()]
        assert temporary == [], temporary
        directories = {path.name for path in (self._repository.state / "runs").iterdir()}
        assert directories <= self._runs.keys(), directories - self._runs.keys()
        records = list(self._repository.state.glob("runs/*/*/tmpdir"))
        assert records == [], records

    def describe(self) -> str:
        """Return how many runs there are in each state."""
        counts = Counter(f"{run.deployment} {run.state}" for run in self._runs.values())
        return ", ".join(f"{name}: {count}" for name, count in sorted(counts.items()))

    def _of(self, name: str) -> list[Finished]:
        return [run for run in self._runs.values() if run.deployment == name]

    def _released_by(self, name: str) -> list[str]:
        """Return the upstream runs of all runs of a deployment that were released. Retries of them do not count."""
        return [each for run in self._of(name) if run.first == run.id for each in run.upstream]

    def _transforms(self) -> Mapping[Finished, str]:
        """Return the runs of the transformations, each with the first one of the same region and file."""
        firsts: dict[tuple[str, str], str] = {}
        result = {}
        for run in [*self._of("transform-eu"), *self._of("transform-us")]:
            [upstream] = run.upstream
            result[run] = firsts.setdefault((run.deployment, self._runs[upstream].first), run.id)
        return result

    def _latest_of_chains(self) -> dict[str, str]:
        """Return the newest run that has succeeded of the chain of each run of the transformations."""
        chains = self._transforms()
        newest = {first: run.id for run, first in chains.items() if run.state == "succeeded"}
        return {run.id: newest[first] for run, first in chains.items() if first in newest}
