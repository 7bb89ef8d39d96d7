"""Notifications as one component of the controller: creates the parts of `notify` from the settings, and connects them.

`controller.app.controller` creates, starts and stops it.
"""

import threading
from concurrent.futures import Future
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from controller.clock import Clock
from controller.errors import ConflictError
from controller.git_servers import web_page
from controller.manifests.active_deployments import ActiveDeployments
from controller.model.notifications import Message, NotifySettings
from controller.notification_settings import NotificationSettings
from controller.notify.channels import ChannelRegistry
from controller.notify.commit_statuses import CommitStatuses
from controller.notify.deadlines import DeadlineMonitor
from controller.notify.delivery import Delivery
from controller.notify.evaluation import Evaluator
from controller.notify.heartbeat_request import HeartbeatRequest
from controller.notify.heartbeats import ControllerHeartbeat, Heartbeats
from controller.notify.notifier import Notifier, Step
from controller.notify.retention import MessageRetention
from controller.remotes import RemoteUrl
from controller.runs.ids import RunIds
from controller.runs.log_files import log_files
from controller.settings import secret_variables
from controller.store import Store, messages
from controller.store.condition_file import NOTICES, read_notices
from controller.store.state_directory import StateDirectory

CONFIG_INTERVAL = timedelta(seconds=5)
"""How often the file with channels and rules is checked for changes."""
HEARTBEAT_INTERVAL = timedelta(seconds=5)
"""How often to check whether the heartbeat is due."""
MAX_TESTS = 4
"""How many tests of channels may be in progress."""


class Notifications:
    """Evaluates what has gone wrong and tells the operator's channels, in a thread of its own."""

    def __init__(
        self,
        settings: NotificationSettings,
        state: StateDirectory,
        store: Store,
        clock: Clock,
        deployments: ActiveDeployments,
        repo: Path | RemoteUrl,
    ) -> None:
        self._clock = clock
        self._is_loaded = False
        repository = web_page(repo) if isinstance(repo, RemoteUrl) else None
        self._store = store.with_own_readers(2)
        with self._store.read() as tx:
            ids = RunIds(newest=messages.newest_id(tx))
        self._channels = ChannelRegistry(
            self._store,
            clock,
            settings.config,
            secret_variables(),
            is_required=settings.needs_config,
            repository=repository,
        )
        heartbeats = Heartbeats(deployments, ids.new)
        statuses = CommitStatuses(self.settings, ids.new, repository=repository, public_url=settings.public_url)
        self._delivery = Delivery(
            self._store,
            clock,
            self._channels,
            new_id=ids.new,
            ca=settings.ca_file,
            wake=lambda: self._notifier.wake(),
            find_heartbeat_url=heartbeats.find_url,
        )
        self._delivery.read_log = partial(_read_log, state.runs)
        self._delivery.find_commit_status = statuses.test_message
        self._evaluator = Evaluator(
            self._store,
            deployments,
            settings=lambda: self._channels.settings,
            new_id=ids.new,
            deadlines=DeadlineMonitor(deployments),
            collectors=[heartbeats, statuses],
            public_url=settings.public_url,
            notices=lambda: read_notices(state.path / NOTICES),
        )
        self._progress = clock.monotonic()
        self._heartbeat = ControllerHeartbeat(clock, lambda: [self._progress])
        url = settings.heartbeat_url
        self._request = None if url is None else HeartbeatRequest(url, clock, settings.ca_file)
        steps = (
            Step(name="channels", work=self._refresh_channels),
            Step(name="evaluation", work=self._evaluator.evaluate),
            Step(name="delivery", work=self._deliver),
            Step(name="heartbeat", work=self._send_heartbeat),
            Step(name="retention", work=MessageRetention(self._store).sweep),
        )
        self._notifier = Notifier(steps, database=state.database, clock=clock)
        self._tests = threading.BoundedSemaphore(MAX_TESTS)

    def load(self) -> None:
        """Read the file with channels and rules. Raises UsageError if it is invalid, StateError."""
        self._channels.load()
        self._is_loaded = True

    def settings(self) -> NotifySettings:
        """Return the channels and rules of the operator: the last valid version of the file."""
        return self._channels.settings

    @property
    def delivery(self) -> Delivery:
        """The delivery of messages, for the metrics."""
        return self._delivery

    def start(self) -> None:
        """Start the thread. Raises UsageError, StateError."""
        if not self._is_loaded:
            self.load()
        self._notifier.start()

    def close(self) -> None:
        """Stop within about a second. Messages that were not sent yet are sent by the next controller."""
        self._notifier.stop()
        self._delivery.stop()
        self._store.close_readers()

    def record_progress(self) -> None:
        """Record that the engine and the passes make progress. Without this, the heartbeat stops."""
        self._progress = self._clock.monotonic()

    def test_channel(self, name: str) -> Future[Message]:
        """Send a test message to a channel. Return a future with the message and the result of its delivery.

        It has a result within about a minute, and raises NotFoundError for an unknown channel, StateError.

        Raises:
            ConflictError: too many tests are in progress.
        """
        if not self._tests.acquire(blocking=False):
            raise ConflictError(f"{MAX_TESTS} tests of channels are in progress.", hint="Wait a minute and try again.")
        result: Future[Message] = Future()
        result.set_running_or_notify_cancel()  # a client that disconnects does not cancel the test
        threading.Thread(target=self._test, args=(name, result), name="channel test", daemon=True).start()
        return result

    def _test(self, name: str, result: Future[Message]) -> None:
        try:
            message = self._delivery.send_test(name)
        except BaseException as error:  # noqa: BLE001 - the waiting request raises it
            result.set_exception(error)
        else:
            result.set_result(message)
        finally:
            self._tests.release()

    def _send_heartbeat(self, now: datetime) -> datetime | None:
        if self._request is None:
            return None
        if self._heartbeat.is_due():
            self._request.send()
        return now + HEARTBEAT_INTERVAL

    def _refresh_channels(self, now: datetime) -> datetime:
        self._channels.refresh()
        return now + CONFIG_INTERVAL

    def _deliver(self, now: datetime) -> datetime | None:
        self._delivery.deliver_due(now)
        return self._delivery.next_time()


def _read_log(directory: Path, run_id: str, count: int) -> list[str]:
    """Return at most `count` of the last lines of the log of a run's last attempt; none if it was deleted."""
    from controller.queries.run_logs import CHUNK_BYTES, log_chunk, tail_offset

    files = log_files(directory, run_id)[-1:]
    offset = tail_offset(files, count)
    return log_chunk(files, offset, 4 * CHUNK_BYTES).text.splitlines()[-count:]
