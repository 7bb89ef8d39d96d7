"""Checks the records of a site after its last run, in comparison with what the flows have counted themselves."""

import itertools
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.acceptance.cluster_site import INTERVAL, PLACES, Client, Site

KILLED = (
    "outcome unknown: the supervisor was killed",
    "outcome unknown: its supervisor was killed",
    "outcome unknown: the supervisor did not start: exit code -9",
    "outcome unknown: its node was lost: ray: ",
    "outcome unknown: the controller that led before has allowed its start",
    "ended by SIGKILL",
)
"""How the reasons of attempts that did not succeed begin. Nothing but a kill ends them."""


class Ledger:
    """The records of a site after its last run, and the lines that the flows have written."""

    def __init__(self, site: Site, effects: Path) -> None:
        self._site = site
        lines = [line.split() for line in effects.read_text().splitlines()]
        self._begun = Counter((run_id, int(number)) for text, run_id, number in lines if text == "begin")
        self._ended = Counter((run_id, int(number)) for text, run_id, number in lines if text == "end")
        rows = site.select("SELECT id, deployment, state, reason, idempotency_key FROM runs")
        self._runs = {row[0]: row[1:] for row in rows}
        rows = site.select("SELECT run_id, number, state, reason, executor, instance FROM attempts")
        self._attempts = {(row[0], row[1]): row[2:] for row in rows}

    def check(self, client: Client) -> None:
        """Check everything except due times."""
        self.check_requests(client)
        self.check_attempts()
        self.check_results()

    def check_requests(self, client: Client) -> None:
        """Each request has its one run."""
        recorded = {key: run_id for run_id, (_, _, _, key) in self._runs.items() if key}
        assert recorded == client.answered

    def check_due_times(self, end: datetime) -> None:
        """Each due time of the schedules, which end at `end`, has one run."""
        for name in PLACES:
            query = f"SELECT scheduled_for, run_id FROM occurrences WHERE deployment = '{name}-often' ORDER BY 1"
            rows = self._site.select(query)
            times = [_instant(moment) for moment, _ in rows]
            for earlier, later in itertools.pairwise(times):
                assert later - earlier == timedelta(seconds=INTERVAL), f"{name}: {earlier} is followed by {later}"
            assert end - timedelta(seconds=INTERVAL) < times[-1] <= end, (name, times[-1], end)
            run_ids = [run_id for _, run_id in rows]
            assert set(run_ids) <= self._runs.keys()
            of_deployment = [run_id for run_id, (deployment, *_) in self._runs.items() if deployment == f"{name}-often"]
            assert sorted(run_ids) == sorted(of_deployment)

    def check_attempts(self) -> None:
        """Each attempt was started at most once. Those that succeeded have finished, and kills explain the others."""
        assert set(self._begun.values()) <= {1}, [key for key, count in self._begun.items() if count > 1]
        assert self._ended.keys() <= self._begun.keys() <= self._attempts.keys()
        for key, (state, reason, executor, instance) in self._attempts.items():
            assert state in ("succeeded", "failed", "crashed"), (key, state, reason)
            assert (state == "succeeded") <= (key in self._ended), f"{key} has succeeded without an end"
            assert state == "succeeded" or str(reason).startswith(KILLED), (key, state, reason)
            assert (executor == "local") is (instance is None), (key, executor, instance)

    def check_results(self) -> None:
        """The state of a run is that of its last attempt, and further attempts follow only crashes."""
        for run_id, (deployment, state, reason, _) in self._runs.items():
            states = [self._attempts[key][0] for key in sorted(self._attempts) if key[0] == run_id]
            assert states, (deployment, run_id, state, reason)
            assert states[-1] == state, (run_id, state, states)
            assert set(states[:-1]) <= {"crashed"}, (run_id, states)

    def describe(self) -> str:
        """Return how many runs there are in each state, and how many attempts were killed."""
        counts = Counter(f"{deployment} {state}" for deployment, state, *_ in self._runs.values())
        killed = {key for key, (state, *_) in self._attempts.items() if state != "succeeded"}
        counts["killed attempts"] = len(killed)
        counts["killed attempts whose flow had finished"] = len(killed & self._ended.keys())
        return ", ".join(f"{name}: {count}" for name, count in sorted(counts.items()))


def _instant(value: Any) -> datetime:
    found = datetime.fromisoformat(value) if isinstance(value, str) else value
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
