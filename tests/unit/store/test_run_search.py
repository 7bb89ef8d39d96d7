"""Searching for runs by criteria, and the cost of pages, which does not depend on the length of the history."""

import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from controller.model.runs import ACTIVE, Run, RunId, RunState, Trigger
from controller.runs.ids import RunIds
from controller.store import Store, runs
from controller.store.run_search import RunFilter, runs_page, select_all
from tests.conftest import NOW
from tests.thoroughness import scaled
from tests.unit.store.conftest import ONLY_SQLITE

SECOND = timedelta(seconds=1)
REVISIONS = ("main@sha1:" + "a" * 40, "main@sha1:ab" + "c" * 38, "main@sha1:" + "d" * 40)


def history(count: int, seed: int = 1) -> list[Run]:
    """Create runs of three deployments, a second apart; occasionally the clock is set back."""
    chance = random.Random(seed)
    ids, now, history = RunIds(chance.getrandbits), NOW, []
    for number in range(count):
        now += SECOND if chance.random() < 0.95 else -20 * SECOND
        history.append(
            Run(
                id=ids.new(now),
                deployment=chance.choice("abc"),
                state=chance.choice(list(RunState)),
                trigger=chance.choice(list(Trigger)),
                created_at=now,
                revision=chance.choice(REVISIONS),
                file="f",
                spec_digest="sha256:1",
                idempotency_key=str(number),
                tags=tuple(tag for tag in ("x", "y", "x%") if chance.random() < 0.2),
            )
        )
    return history


def matches(run: Run, criteria: RunFilter) -> bool:
    """Return whether a run matches, by a straightforward check of each criterion."""
    return (
        criteria.deployment in (None, run.deployment)
        and (criteria.states is None or run.state in criteria.states)
        and (criteria.tag is None or criteria.tag in run.tags)
        and criteria.trigger in (None, run.trigger)
        and (
            criteria.revision is None
            or run.revision == criteria.revision
            or run.revision.partition(":")[2].startswith(criteria.revision)
        )
        and (criteria.since is None or run.created_at >= criteria.since)
        and (criteria.until is None or run.created_at < criteria.until)
    )


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


FILTERS = st.builds(
    RunFilter,
    deployment=maybe(st.sampled_from("abcd")),
    states=maybe(st.sets(st.sampled_from(list(RunState))) | st.just(ACTIVE)),
    tag=maybe(st.sampled_from(["x", "y", "x%", "z"])),
    trigger=maybe(st.sampled_from([trigger.value for trigger in Trigger])),
    revision=maybe(st.sampled_from([*REVISIONS, "a", "ab", "e", "%"])),
    since=maybe(st.integers(-5, 130).map(lambda seconds: NOW + seconds * SECOND / 2)),
    until=maybe(st.integers(-5, 130).map(lambda seconds: NOW + seconds * SECOND / 2)),
)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, list[Run]]]:
    """A store, and the runs in it, newest first."""
    store = Store.open(tmp_path_factory.mktemp("state") / "state.db")
    oldest_first = history(120)
    with store.write() as tx:
        runs.insert_all(tx, oldest_first)
    yield store, oldest_first[::-1]
    store.close()


@given(criteria=FILTERS, limit=st.integers(1, 30), max_examined=st.integers(1, 40))
@settings(max_examples=scaled(300), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pages_have_every_match_exactly_once(
    recorded: tuple[Store, list[Run]], criteria: RunFilter, limit: int, max_examined: int
) -> None:
    store, newest_first = recorded
    expected = [run.id for run in newest_first if matches(run, criteria)]
    run_ids: list[RunId] = []
    before = None
    with store.read() as tx:
        assert [run.id for run in select_all(tx, criteria)] == expected
        assert [run.id for run in select_all(tx, criteria, limit)] == expected[:limit]
        while True:
            page = runs_page(tx, criteria, limit=limit, before=before, max_examined=max_examined)
            assert len(page.runs) <= limit
            run_ids += [run.id for run in page.runs]
            if page.next is None:
                break
            assert before is None or page.next < before
            before = page.next
    assert run_ids == expected


SEARCHES = {
    "all": RunFilter(),
    "deployment": RunFilter(deployment="a"),
    "final states": RunFilter(states=(RunState.FAILED, RunState.CRASHED)),
    "active": RunFilter(states=ACTIVE),
    "tag": RunFilter(tag="nobody"),
    "trigger and state": RunFilter(trigger="manual", states=(RunState.FAILED,)),
    "revision": RunFilter(revision="ffff"),
    "deployment and state": RunFilter(deployment="a", states=(RunState.FAILED,)),
    "active of a deployment": RunFilter(deployment="a", states=ACTIVE),
    "since": RunFilter(since=NOW + 300 * SECOND),
    "until": RunFilter(until=NOW + 300 * SECOND),
}


@pytest.mark.parametrize("criteria", SEARCHES.values(), ids=SEARCHES)
@ONLY_SQLITE
def test_page_queries_use_an_index_and_never_sort(store: Store, criteria: RunFilter) -> None:
    statements: list[tuple[str, Any]] = []
    with store.read() as tx:

        def record(_connection: object, _cursor: object, statement: str, parameters: Any, *_rest: object) -> None:
            statements.append((statement, parameters))

        event.listen(tx.connection, "before_cursor_execute", record)
        runs_page(tx, criteria, limit=10)
        event.remove(tx.connection, "before_cursor_execute", record)
        assert statements
        for statement, parameters in statements:
            plan = tx.connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            steps = [row[3] for row in plan if "json_each" not in row[3] and "CORRELATED" not in row[3]]
            assert all("INDEX" in step and "TEMP B-TREE" not in step for step in steps), steps
