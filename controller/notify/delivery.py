"""Delivers the recorded messages: sends what is due, records the outcome, and decides when to try again.

The notifier calls `deliver_due` after each evaluation, when `next_time` is reached, and when a delivery has finished.
Each channel has its own order: its oldest waiting message is sent first, and while it fails, the others wait.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from controller.clock import Clock
from controller.crashpoints import reach
from controller.errors import StateError
from controller.model.commit_statuses import COMMIT_STATUS_CHANNEL
from controller.model.notifications import ChannelState, Message
from controller.model.policies import Secret
from controller.notify.attempts import (
    GIVE_UP_AFTER,
    HEARTBEAT_EXPIRES_AFTER,
    TEST,
    Attempt,
    as_sentence,
    record_attempt,
)
from controller.notify.channel_tests import FindCommitStatus, check_channel, make_test_message, no_commit_status
from controller.notify.channels import ChannelRegistry
from controller.notify.delivery_statistics import DeliveryStatistics
from controller.notify.log_tail import ReadLog, with_log
from controller.notify.message_requests import heartbeat_request, message_request
from controller.notify.secret_lookup import MisconfiguredError, find_secret
from controller.notify.sender_process import Outcome, OutcomeStatus, SenderProcess
from controller.notify.sending_times import sending_time
from controller.store import messages
from controller.store.store import Store, Transaction

log = logging.getLogger(__name__)

MAX_PROCESSES = 4
"""How many processes send messages at the same time, each for one channel."""
MAX_FAILING = 3
"""How many of them may be for channels that failed last, so that these don't delay the others."""
MAX_IN_TURN = 50
"""How many messages a channel sends before other channels get a turn."""
MAX_IN_DIGEST = 100
MAX_ONE_BY_ONE = 3
"""How many messages that have waited are sent one by one; more are sent as one."""
WAITED = timedelta(minutes=1)
"""How long the oldest message must have waited for that."""
PAUSE = timedelta(minutes=1)
"""The pause of a channel after an unexpected error."""
STOP_SECONDS = 1.0
_HEARTBEATS, _CHECK = "/heartbeats", "/check"
"""The lanes of all heartbeats and of the check of URLs; the other lanes have the names of their channels."""
MAX_HEARTBEATS = 24
SECRET_RECHECK = timedelta(minutes=1)


class Delivery:
    """The delivery of messages. Child processes send them, so that a server that does not respond delays nothing.

    `new_id` returns a new UUIDv7. `ca`: a file with further certificate authorities. `wake`: called when a delivery has
    finished, so that the notifier calls `deliver_due` again. `find_heartbeat_url` returns the URL of a heartbeat.
    `read_log` returns the last lines of the log of a run; by default none. `find_commit_status` returns the status of
    the current commit, for tests. `statistics` counts attempts, without those of heartbeats.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        registry: ChannelRegistry,
        *,
        new_id: Callable[[datetime], str],
        ca: Path | None = None,
        wake: Callable[[], None] = lambda: None,
        find_heartbeat_url: Callable[[Transaction, Message], str | Secret | None] = lambda _, __: None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._registry = registry
        self._new_id = new_id
        self._ca = ca
        self._wake = wake
        self._find_heartbeat_url = find_heartbeat_url
        self.read_log: ReadLog = lambda _run_id, _count: ()
        self.find_commit_status: FindCommitStatus = no_commit_status
        self.statistics = DeliveryStatistics()
        self._lock = threading.Lock()
        self._recording = threading.Lock()
        self._senders: set[SenderProcess] = set()
        self._lanes: dict[str, threading.Thread] = {}
        self._paused: dict[str, datetime] = {}
        self._unrecorded: list[Attempt] = []
        self._stopping = threading.Event()
        self._version: int | None = None
        self._needs_check = False

    def deliver_due(self, now: datetime) -> None:
        """Start to deliver the messages that are due. Returns at once. Raises StateError."""
        self._record_late()
        if self._version != self._registry.version:
            # Channels may work now that their declaration has changed, or after the controller was started again.
            with self._store.write() as tx:
                messages.hasten(tx, now)
            self._version = self._registry.version
            self._needs_check = True
        due = [(is_failing, time, lane) for time, lane, is_failing in self._find_lanes(now) if time <= now]
        for is_failing, _, lane in sorted(due):
            self._start(lane, is_failing=is_failing)

    def next_time(self) -> datetime | None:
        """Return when a message that is not being sent will be due; None if there is none. Raises StateError."""
        now = self._clock.now()
        with self._store.read() as tx:
            aside = messages.next_set_aside(tx, now)
        # Messages that are due already wait for a process, or for a lane to finish: both wake the notifier.
        times = [time for time, _, _ in self._find_lanes(now) if time > now]
        return min([*times, *([] if aside is None else [aside])], default=None)

    def send_test(self, channel: str) -> Message:
        """Send a test message to a channel, and return it with its outcome. Takes at most a minute.

        The test of the channel of commit statuses sends the status of the current commit again.

        Raises:
            NotFoundError: `notify.yaml` does not declare the channel, or no commit has a status to send.
            StateError: the state can't be read or written.
        """
        now = self._clock.now()
        check_channel(channel, self._registry.settings)
        if channel == COMMIT_STATUS_CHANNEL:
            with self._store.read() as tx:
                message = self.find_commit_status(tx, TEST, now)
        else:
            message = make_test_message(channel, self._new_id(now), now)
        with self._open_sender() as sender:
            outcome = self._send(sender, (message,), now)
        at = self._clock.now()
        with self._store.write() as tx:
            messages.add(tx, [message])
            [recorded] = record_attempt(tx, self._registry, Attempt(batch=(message,), outcome=outcome, at=at))
            if outcome.status is OutcomeStatus.SENT:
                messages.hasten(tx, at, channel)
        self.statistics.record(is_sent=outcome.status is OutcomeStatus.SENT)
        self._wake()
        return recorded

    def stop(self) -> None:
        """Stop within a second. A message that is being sent may be sent again by the next controller."""
        self._stopping.set()
        with self._lock:
            senders, threads = list(self._senders), list(self._lanes.values())
        for sender in senders:
            sender.kill()
        deadline = self._clock.monotonic() + STOP_SECONDS
        for thread in threads:
            thread.join(max(0.0, deadline - self._clock.monotonic()))

    def oldest_due(self, tx: Transaction, now: datetime) -> datetime | None:
        """Return when the oldest message was written that should have been sent by now; None without one.

        A message that waits for the end of quiet hours or for a digest does not count, nor does a heartbeat.
        """
        heads = [head for head in messages.find_first_waiting(tx, now) if self._due_time(head, now) <= now]
        failed = messages.oldest_failed(tx)
        return min([*(head.created_at for head in heads), *([] if failed is None else [failed])], default=None)

    @property
    def active(self) -> frozenset[str]:
        """The channels to which messages are being sent. Names with a slash are for heartbeats and checks."""
        with self._lock:
            return frozenset(self._lanes)

    def _find_lanes(self, now: datetime) -> list[tuple[datetime, str, bool]]:
        """Return when each lane that is not active is due, its name, and whether its channel failed last."""
        with self._store.read() as tx:
            heads = messages.find_first_waiting(tx, now)
            heartbeat = messages.next_heartbeat(tx)
        lanes = [(self._due_time(head, now), head.channel, self._registry.is_failing(head.channel)) for head in heads]
        if heartbeat is not None:
            lanes.append((heartbeat, _HEARTBEATS, False))
        if self._needs_check:
            lanes.append((now, _CHECK, False))
        with self._lock:
            idle = [lane for lane in lanes if lane[1] not in self._lanes]
        return [(max(time, self._paused.get(lane, time)), lane, is_failing) for time, lane, is_failing in idle]

    def _due_time(self, message: Message, now: datetime) -> datetime:
        channel = self._registry.settings.receivers.get(message.channel)
        if channel is None:
            return max(message.not_before, message.created_at + GIVE_UP_AFTER)
        if message.error is not None and not self._registry.has_secrets(message.channel):
            now += SECRET_RECHECK  # it would fail again, and need not be recorded again
        return sending_time(channel, message.created_at, max(message.not_before, now))

    def _start(self, lane: str, *, is_failing: bool) -> None:
        with self._lock:
            failing = sum(self._registry.is_failing(name) for name in self._lanes)
            is_full = len(self._lanes) >= MAX_PROCESSES or (is_failing and failing >= MAX_FAILING)
            if is_full or lane in self._lanes or self._stopping.is_set():
                return
            # A daemon thread, so that the process can exit while a write hangs in the kernel.
            thread = threading.Thread(target=self._run_lane, args=(lane,), name="delivery", daemon=True)
            self._lanes[lane] = thread
            thread.start()

    def _run_lane(self, lane: str) -> None:
        try:
            if lane == _HEARTBEATS:
                self._deliver_heartbeats()
            elif lane == _CHECK:
                self._check_channels()
            else:
                self._deliver_channel(lane)
        except StateError as error:
            log.warning("The outcome of a delivery can't be recorded yet", extra={"error": str(error)})
        except Exception:
            self._paused[lane] = self._clock.now() + PAUSE
            log.exception("A delivery failed; it will be retried", extra={"channel": lane})
        finally:
            with self._lock:
                del self._lanes[lane]
            if not self._stopping.is_set():
                self._wake()

    def _deliver_channel(self, name: str) -> None:
        """Send the messages of a channel one after another, until one fails or none is due."""
        with self._open_sender() as sender:
            for _ in range(MAX_IN_TURN):
                now = self._clock.now()
                batch = self._next_batch(name, now)
                if not batch:
                    return
                reach("notify:send", batch)
                outcome = self._send(sender, batch, now)
                reach("notify:sent", batch)
                if outcome.status is OutcomeStatus.INTERRUPTED:
                    return
                self._record(Attempt(batch=batch, outcome=outcome, at=self._clock.now()))
                if outcome.status in (OutcomeStatus.FAILED, OutcomeStatus.MISCONFIGURED):
                    return

    def _next_batch(self, name: str, now: datetime) -> tuple[Message, ...]:
        """Return the messages to send next as one. Empty if none is due.

        That is the oldest; for a digest, all; and all that are due if more than a few have waited, for example while
        the server did not respond.
        """
        channel = self._registry.settings.receivers.get(name)
        with self._store.read() as tx:
            waiting = messages.find_waiting(tx, name, now, MAX_IN_DIGEST)
        due = [message for message in waiting if self._due_time(message, now) <= now]
        if not due or waiting[0] != due[0]:
            return ()
        has_digest = channel is not None and channel.digest is not None
        have_waited = len(due) > MAX_ONE_BY_ONE and now - due[0].created_at >= WAITED
        return tuple(due) if has_digest or have_waited else tuple(due[:1])

    def _send(self, sender: SenderProcess, batch: tuple[Message, ...], now: datetime) -> Outcome:
        """Send messages to their channel as one, and return the outcome."""
        name = batch[0].channel
        try:
            endpoint = self._registry.endpoint(name)
        except MisconfiguredError as error:
            return _misconfigured(error)
        if endpoint is None:
            return Outcome(status=OutcomeStatus.GONE, error=f"notify.yaml does not declare the channel {name}")
        if len(batch) == 1:
            batch = (with_log(batch[0], endpoint.channel, self.read_log),)
        return sender.send(message_request(endpoint, batch, now))

    def _check_channels(self) -> None:
        """Find the channels whose URLs apprise can't use, before there is a message for them."""
        self._needs_check = False
        with self._open_sender() as sender:
            for name, channel in self._registry.settings.channels.items():
                if channel.url is None:
                    continue
                try:
                    endpoint = self._registry.endpoint(name)
                except MisconfiguredError:  # the registry has recorded it
                    continue
                outcome = sender.send({"kind": "check", "url": endpoint.url}) if endpoint is not None else None
                if outcome is not None and outcome.status is OutcomeStatus.MISCONFIGURED:
                    with self._store.write() as tx:
                        self._registry.record(tx, name, ChannelState.MISCONFIGURED, as_sentence(outcome))

    def _deliver_heartbeats(self) -> None:
        """Send the heartbeats that are due: those of one deployment in order, those of several at the same time."""
        with self._open_sender() as sender:
            for _ in range(MAX_IN_TURN):
                now = self._clock.now()
                with self._store.read() as tx:
                    due = messages.find_due_heartbeats(tx, now, MAX_HEARTBEATS)
                    places = {message.id: self._find_heartbeat_url(tx, message) for message in due}
                if not due or self._stopping.is_set():
                    return
                self._send_heartbeats(sender, due, places, now)

    def _send_heartbeats(
        self, sender: SenderProcess, due: Sequence[Message], places: Mapping[str, str | Secret | None], now: datetime
    ) -> None:
        """Send these heartbeats to the places by their ids, and record the outcomes."""
        outcomes: dict[str, Outcome] = {}
        requests: dict[str, dict[str, str]] = {}
        for message in due:
            place = places[message.id]
            try:
                if place is None:
                    outcomes[message.id] = Outcome(status=OutcomeStatus.GONE, error="heartbeat is not declared")
                elif now >= message.created_at + HEARTBEAT_EXPIRES_AFTER:
                    outcomes[message.id] = Outcome(status=OutcomeStatus.GONE, error=message.error or "it expired")
                else:
                    url = find_secret(place, self._registry.variables)
                    requests[message.id] = heartbeat_request(url, message)
            except MisconfiguredError as error:
                outcomes[message.id] = _misconfigured(error)
        if requests:
            sent = sender.send_heartbeats(list(requests.values()))
            outcomes |= dict(zip(requests, sent, strict=True))
        at = self._clock.now()
        finished = [message for message in due if outcomes[message.id].status is not OutcomeStatus.INTERRUPTED]
        self._record(*(Attempt(batch=(each,), outcome=outcomes[each.id], at=at) for each in finished))

    def _record(self, *attempts: Attempt) -> None:
        """Record the outcomes, or keep them for later, so that nothing is sent a second time. Raises StateError."""
        with self._lock:
            self._unrecorded += attempts
        self._record_late()

    def _record_late(self) -> None:
        """Record the outcomes that are not recorded yet. Raises StateError."""
        with self._recording:
            with self._lock:
                pending = tuple(self._unrecorded)
            if not pending:
                return
            with self._store.write() as tx:
                for attempt in pending:
                    record_attempt(tx, self._registry, attempt)
            for attempt in pending:
                if attempt.batch[0].state != messages.HEARTBEAT:
                    self.statistics.record(is_sent=attempt.outcome.status is OutcomeStatus.SENT)
            with self._lock:
                del self._unrecorded[: len(pending)]

    @contextmanager
    def _open_sender(self) -> Iterator[SenderProcess]:
        """Yield a process that sends messages, and end it. It starts with the first message."""
        sender = SenderProcess(self._clock, self._registry.variables, self._ca)
        with self._lock:
            self._senders.add(sender)
        if self._stopping.is_set():
            sender.kill()
        try:
            yield sender
        finally:
            with self._lock:
                self._senders.discard(sender)
            sender.close()


def _misconfigured(error: MisconfiguredError) -> Outcome:
    """Return the outcome for a secret that is missing. It is looked for again soon, since it may appear in a file."""
    retry_after = SECRET_RECHECK.total_seconds()
    return Outcome(status=OutcomeStatus.MISCONFIGURED, error=error.instruction, retry_after=retry_after)
