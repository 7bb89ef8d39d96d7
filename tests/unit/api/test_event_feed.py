"""Event streams: all receive the same events, each from its own position, with one poll of the state."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from controller.api.http import event_feed as feeds
from controller.api.http import sse
from controller.api.http.event_feed import EventFeed
from controller.api.http.sse import Streams
from controller.model.status import Event, EventSeverity
from controller.state_url import StateUrl
from controller.store import Store, events
from controller.store.commit_counter import CommitListener
from tests.conftest import NOW

PATIENCE = 20.0


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "POLL_SECONDS", 0.01)


def write(store: Store, *messages: str) -> None:
    with store.write() as tx:
        rows = [
            Event(time=NOW, severity=EventSeverity.INFO, reason="Told", message=text, about="source")
            for text in messages
        ]
        events.append(tx, rows)


async def next_events(listener: AsyncGenerator[bytes], count: int) -> list[str]:
    """Return the texts of the next `count` events of a stream."""
    texts: list[str] = []
    async with asyncio.timeout(PATIENCE):
        while len(texts) < count:
            body = (await anext(listener)).decode()
            texts += [body.partition('"message": "')[2].partition('"')[0]] if "event: event" in body else []
    return texts


async def first_change(listener: AsyncGenerator[bytes]) -> None:
    async with asyncio.timeout(PATIENCE):
        while b"event: change" not in await anext(listener):
            pass


def play(store: Store, path: Path, story: Any) -> None:
    """Run a coroutine function with an event feed of the store."""

    async def played() -> None:
        changes = CommitListener(path / "state.db")
        places = Streams()
        feed = EventFeed(store, changes, places)
        story_of: Coroutine[Any, Any, None] = story(feed)
        await story_of
        places.closing.set()
        changes.close()

    asyncio.run(played())


class CountingListener(CommitListener):
    """Counts how often the state is polled."""

    count = 0

    def stamp(self) -> int:
        self.count += 1
        return super().stamp()


def test_a_write_is_sent_without_polling(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "IDLE_SECONDS", 10 * PATIENCE)

    async def listen() -> None:
        changes = CountingListener(tmp_path / "state.db")
        streams = Streams()
        listener = EventFeed(store.with_own_readers(1), changes, streams).subscribe(None)
        await first_change(listener)
        assert changes.count == 1
        for text in ("a", "b"):
            write(store, text)
            assert await next_events(listener, 1) == [text]
        assert changes.count <= 3
        streams.closing.set()
        async with asyncio.timeout(PATIENCE):
            async for _ in listener:
                pass
        changes.close()

    asyncio.run(listen())


def test_a_hundred_streams_share_one_query(store: Store, tmp_path: Path) -> None:
    asked: list[str] = []
    with store.read() as tx:
        engine = tx.connection.engine
    event.listen(engine, "before_cursor_execute", lambda *given: asked.append(given[2]))

    async def story(feed: EventFeed) -> None:
        listeners = [feed.subscribe(None) for _ in range(100)]
        for listener in listeners:
            await first_change(listener)
        before = len(asked)
        write(store, "a", "b")
        for listener in listeners:
            assert await next_events(listener, 2) == ["a", "b"]
        assert sum("SELECT" in statement for statement in asked[before:]) == 2
        for listener in listeners:
            await listener.aclose()

    play(store, tmp_path, story)


def test_each_stream_resumes_at_its_position(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "_BUFFERED", 3)
    write(store, *"abcde")

    async def story(feed: EventFeed) -> None:
        whole, late, newest = feed.subscribe(0), feed.subscribe(3), feed.subscribe(None)
        assert await next_events(whole, 5) == [*"abcde"]
        assert await next_events(late, 2) == [*"de"]
        await first_change(newest)
        write(store, *"fghijkl")
        assert await next_events(newest, 7) == [*"fghijkl"]
        write(store, "m")
        for listener in (whole, late):
            assert await next_events(listener, 8) == [*"fghijklm"]
        assert await next_events(feed.subscribe(4), 9) == [*"efghijklm"]

    play(store, tmp_path, story)


def test_recorded_events_come_before_the_first_change(store: Store, tmp_path: Path) -> None:
    async def story(feed: EventFeed) -> None:
        watched = feed.subscribe(None)
        await first_change(watched)
        write(store, "a")
        assert b'"message": "a"' in await anext(feed.subscribe(0))

    play(store, tmp_path, story)


def test_an_event_number_from_another_state_counts_as_the_newest(store: Store, tmp_path: Path) -> None:
    write(store, "a")

    async def story(feed: EventFeed) -> None:
        listener = feed.subscribe(1_000_000)
        await first_change(listener)
        write(store, "b")
        assert await next_events(listener, 1) == ["b"]

    play(store, tmp_path, story)


def test_streams_end_with_the_server_and_can_be_reopened_after_all_are_closed(store: Store, tmp_path: Path) -> None:
    async def story(feed: EventFeed) -> None:
        first = feed.subscribe(None)
        await first_change(first)
        await first.aclose()
        write(store, "a")
        again = feed.subscribe(0)
        assert await next_events(again, 1) == ["a"]
        feed._streams.closing.set()
        async with asyncio.timeout(PATIENCE):
            assert not [body async for body in again if b"event: event" in body]

    play(store, tmp_path, story)


def test_a_commit_of_another_process_is_sent_without_polling_a_server(
    postgresql_store: Store, postgresql_url: StateUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "IDLE_SECONDS", 10 * PATIENCE)
    standby = Store.open_read_only(postgresql_url)

    async def listen() -> None:
        changes, streams = CommitListener(postgresql_url), Streams()
        listener = EventFeed(standby, changes, streams).subscribe(None)
        await first_change(listener)
        for text in ("a", "b"):
            write(postgresql_store, text)
            assert await next_events(listener, 1) == [text]
        streams.closing.set()
        await listener.aclose()
        changes.close()

    asyncio.run(listen())
    standby.close()
