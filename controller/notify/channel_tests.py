"""Tests of channels: a message is written for the channel, and its first delivery is awaited.

`controller.app.notifications` passes `ChannelTests.begin` to the API, and calls `check` after each delivery.
"""

import threading
from collections.abc import Callable, Collection
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from controller.errors import NotFoundError, StoppingError
from controller.model.notifications import Message, MessageState
from controller.store import Store, messages
from controller.text import closest

STATE = "test"
TIMEOUT = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class _Test:
    ends_at: datetime
    result: Future[Message]


class ChannelTests:
    """Sends test messages. `begin` is called by any thread, `check` by that of notifications.

    `names` returns the names of the declared channels, `new_id` the id of a new message, and `wake` starts a delivery.
    """

    def __init__(
        self,
        store: Store,
        *,
        names: Callable[[], Collection[str]],
        new_id: Callable[[datetime], str],
        wake: Callable[[], None],
    ) -> None:
        self._store = store
        self._names = names
        self._new_id = new_id
        self._wake = wake
        self._lock = threading.Lock()
        self._tests: dict[str, _Test] = {}

    def begin(self, channel: str, now: datetime, author: str) -> Future[Message]:
        """Send a test message. Return a future with the message after its first delivery, which may have failed.

        Raises NotFoundError for an unknown channel, and StateError. The future raises StoppingError.
        """
        names = self._names()
        if channel not in names:
            near = closest(channel, names)
            raise NotFoundError(
                f"There is no channel {channel!r}.",
                hint=f"Did you mean {near[0]}?" if near else "See `controller notify channels`.",
            )
        message = _new_message(self._new_id(now), channel, now, author)
        test = _Test(now + TIMEOUT, Future())
        test.result.set_running_or_notify_cancel()  # a client that disconnects does not cancel it
        with self._lock:
            self._tests[message.id] = test
        try:
            with self._store.write() as tx:
                messages.add(tx, [message])
        except BaseException:
            with self._lock:
                del self._tests[message.id]
            raise
        self._wake()
        return test.result

    def check(self, now: datetime) -> datetime | None:
        """Finish the tests whose message was sent or could not be. Return when the next one times out, or None.

        A failed test is not sent again: nobody waits for it. Raises StateError.
        """
        with self._lock:
            tests = dict(self._tests)
        for message_id, test in tests.items():
            message = self._find_result(message_id, is_over=now >= test.ends_at)
            if message is not None:
                with self._lock:
                    del self._tests[message_id]
                test.result.set_result(message)
        with self._lock:
            return min((test.ends_at for test in self._tests.values()), default=None)

    def close(self) -> None:
        """End all tests, because the controller is stopping."""
        with self._lock:
            tests, self._tests = list(self._tests.values()), {}
        for test in tests:
            test.result.set_exception(StoppingError())

    def _find_result(self, message_id: str, *, is_over: bool) -> Message | None:
        """Return the message if its delivery was attempted, or if `is_over`."""
        with self._store.read() as tx:
            message = messages.find(tx, message_id)
        if message is None or (message.delivery is MessageState.WAITING and message.error is None and not is_over):
            return None
        if message.delivery is MessageState.WAITING:
            error = message.error or "The message was not sent within a minute."
            message = replace(message, delivery=MessageState.UNDELIVERABLE, error=error)
            with self._store.write() as tx:
                messages.update_delivery(tx, message)
        return message


def _new_message(message_id: str, channel: str, now: datetime, author: str) -> Message:
    body = f"{author} sent this message to test the channel. Messages about your deployments arrive in the same way."
    return Message(
        id=message_id,
        channel=channel,
        state=STATE,
        title=f"Test of the channel {channel}",
        body=body,
        created_at=now,
        not_before=now,
    )
