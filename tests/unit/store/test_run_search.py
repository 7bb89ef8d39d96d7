"""Runs are found by what is asked of them, and a page costs the same however long the history is."""

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

SECOND = timedelta(seconds=1)
REVISIONS = ("main@sha1:" + "a" * 40, "main@sha1:ab" + "c" * 38, "main@sha1:" + "d" * 40)


def history(count: int, seed: int = 1) -> list[Run]:
    """Runs of a few deployments, made a second apart; now and then the clock steps back."""
    chance = random.Random(seed)
    ids, now, made = RunIds(chance.getrandbits), NOW, []
    for number in range(count):
        now += SECOND if chance.random() < 0.95 else -20 * SECOND
        made.append(
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
    return made


def matches(run: Run, wanted: RunFilter) -> bool:
    """What the words of the filter say, one by one."""
    return (
        wanted.deployment in (None, run.deployment)
        and (wanted.states is None or run.state in wanted.states)
        and (wanted.tag is None or wanted.tag in run.tags)
        and wanted.trigger in (None, run.trigger)
        and (
            wanted.revision is None
            or run.revision == wanted.revision
            or run.revision.partition(":")[2].startswith(wanted.revision)
        )
        and (wanted.since is None or run.created_at >= wanted.since)
        and (wanted.until is None or run.created_at < wanted.until)
    )


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


FILTERS = st.builds(
    RunFilter,
    deployment=maybe(st.sampled_from("abcd")),
    states=maybe(st.sets(st.sampled_from(list(RunState))) | st.just(ACTIVE)),
    tag=maybe(st.sampled_from(["x", "y", "x%", "z"])),
    trigger=maybe(st.sampled_from([one.value for one in Trigger])),
    revision=maybe(st.sampled_from([*REVISIONS, "a", "ab", "e", "%"])),
    since=maybe(st.integers(-5, 130).map(lambda seconds: NOW + seconds * SECOND / 2)),
    until=maybe(st.integers(-5, 130).map(lambda seconds: NOW + seconds * SECOND / 2)),
)


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, list[Run]]]:
    store = Store.open(tmp_path_factory.mktemp("state") / "state.db")
    made = history(120)
    with store.write() as tx:
        runs.insert_all(tx, made)
    yield store, made[::-1]
    store.close()


@given(wanted=FILTERS, limit=st.integers(1, 30), max_examined=st.integers(1, 40))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_pages_are_all_that_matches_and_nothing_twice(
    known: tuple[Store, list[Run]], wanted: RunFilter, limit: int, max_examined: int
) -> None:
    store, newest_first = known
    expected = [run.id for run in newest_first if matches(run, wanted)]
    found: list[RunId] = []
    before = None
    with store.read() as tx:
        assert [run.id for run in select_all(tx, wanted)] == expected
        assert [run.id for run in select_all(tx, wanted, limit)] == expected[:limit]
        while True:
            page = runs_page(tx, wanted, limit=limit, before=before, max_examined=max_examined)
            assert len(page.runs) <= limit
            found += [run.id for run in page.runs]
            if page.next is None:
                break
            assert before is None or page.next < before
            before = page.next
    assert found == expected


ASKED = {
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


@pytest.mark.parametrize("wanted", ASKED.values(), ids=ASKED)
def test_a_page_sorts_nothing_and_walks_along_an_index(store: Store, wanted: RunFilter) -> None:
    asked: list[tuple[str, Any]] = []
    with store.read() as tx:

        def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_rest: object) -> None:
            asked.append((statement, parameters))

        event.listen(tx.connection, "before_cursor_execute", note)
        runs_page(tx, wanted, limit=10)
        event.remove(tx.connection, "before_cursor_execute", note)
        assert asked
        for statement, parameters in asked:
            plan = tx.connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            steps = [row[3] for row in plan if "json_each" not in row[3] and "CORRELATED" not in row[3]]
            assert all("INDEX" in step and "TEMP B-TREE" not in step for step in steps), steps
