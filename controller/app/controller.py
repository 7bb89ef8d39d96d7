"""Creates the parts of a controller, connects them, and starts and stops them in order."""

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from controller import __version__
from controller.app.executors import Execution
from controller.app.metrics import running_parts
from controller.app.notifications import Notifications
from controller.app.opened_state import open_state
from controller.app.python_builds import read_declared
from controller.app.source_parts import first_status, new_renderer
from controller.app.standby import Standby
from controller.app.stop_signal import StopSignal, exit_after
from controller.app.tracing import Tracing
from controller.app.triggers import Triggers
from controller.app.web import Web
from controller.clock import Clock, SystemClock
from controller.errors import GitUnavailableError, SourceError, StateError, StoppingError, UsageError
from controller.manifests.active_deployments import ActiveDeployments
from controller.manifests.reader import ManifestReader
from controller.manifests.run_references import Variables
from controller.model.schedules import Agenda
from controller.operations.context import OperationContext
from controller.operations.holds import end_expired_holds
from controller.operations.parameter_check import Parameters
from controller.python_environments import PythonEnvironments
from controller.python_specs import RenderedSource
from controller.queries.leadership import Role, Standing
from controller.queries.parameter_form import Forms
from controller.reconcile.loop import Loop
from controller.reconcile.pass_deadline import PassDeadline
from controller.reconcile.reconciler import PassResult, Reconciler
from controller.remotes import RemoteUrl
from controller.runs import file_descriptors
from controller.runs.admission import Admission
from controller.runs.engine import Engine
from controller.runs.executors.local.users import find_user
from controller.runs.export_protection import Protection, find_protection
from controller.runs.ids import RunIds
from controller.runs.lost_output import mark_lost_output
from controller.runs.pinned_deployments import PinnedDeployments
from controller.runs.python_runtimes import PythonRuntimes
from controller.runs.retention import Sweeper
from controller.runs.storage_check import StorageMonitor
from controller.scheduler import Timetable
from controller.settings import Settings, secret_variables
from controller.sources.git import find_git
from controller.sources.open_source import open_source
from controller.store import runs
from controller.store.condition_file import NOTICES, Notices
from controller.store.leaders import set_url
from controller.store.state_directory import StateDirectory

if TYPE_CHECKING:
    from controller.queries.status import StatusView

log = logging.getLogger(__name__)

LONGEST_RETRY = timedelta(minutes=15)
"""The longest interval between attempts to read a remote source that keeps failing, to spare a server that is down."""
PASS_DEADLINE = timedelta(minutes=2)
"""After this long a pass is reported as overdue. Git commands and Python specs that hang time out sooner."""
FETCH_DEADLINE = timedelta(minutes=20)
"""The same for a remote repository, whose first fetch may take 15 minutes."""
_POLL_SECONDS = 0.1


class Controller:
    """The controller. Run it until `stop_signal` is set. `failure` is the error that set it, or None after a signal.

    `running_flows` is the number of flows that were still running when it stopped, or None if that is unknown.
    """

    running_flows: int | None = None

    def __init__(self, settings: Settings, stop_signal: StopSignal, clock: Clock | None = None) -> None:
        open_files = file_descriptors.raise_limit()
        self._settings, self._stop_signal, self._clock = settings, stop_signal, clock or SystemClock()
        location = settings.location
        user = None if settings.flow_user is None else find_user(settings.flow_user)
        self._tracing = Tracing(settings.otlp_endpoint)
        self.state = StateDirectory.at(location)
        self.state.hold(version=__version__, now=self._clock.now(), pause=threading.Event().wait)
        self._standby = Standby(settings, self.state, self._clock)
        self._store, self._leading = open_state(self.state, settings, self._clock, stop_signal, self._standby)
        self._notices = Notices(self.state.path / NOTICES)
        self._engine_store = self._store.with_own_readers(2)
        self._reconciler_store = self._store.with_own_readers(2)
        self._source = RenderedSource(open_source(location, working_tree=settings.working_tree), new_renderer(user))
        deployments = ActiveDeployments()
        self.python = PythonEnvironments(self._store, self._clock, self.state.python, settings.uv)
        self.python.on_change = self._on_python_change
        variables = Variables(secret_variables(), settings.triggers.parameter_variables)
        admission = Admission(self._clock, self._run_ids(), deployments, variables)
        self._timetable = Timetable(lambda name: self._engine.notify_due(name), self._clock)
        self._execution = Execution(
            settings,
            self.state,
            self._store,
            self._clock,
            user,
            is_pinned=self._source.is_pinned,
            open_files=open_files,
            run_variables=self._tracing.flow_variables,
        )
        self._engine = Engine(
            store=self._engine_store,
            pinned_deployments=PinnedDeployments(self._source, self._engine_store, location.environment, deployments),
            clock=self._clock,
            admission=admission,
            executors=self._execution.executors,
            max_running=settings.max_running,
            on_tick=self._tick,
            on_failure=stop_signal.fail,
        )
        self._engine.python = PythonRuntimes(self.python, self._source)
        self._engine.storage = StorageMonitor(self._engine_store, self._clock, self.state.path, self._notices.replace)
        self._sweeper = Sweeper(self._engine_store, self._clock, admission, self.state.runs)
        self._reconciler = Reconciler(
            source=self._source,
            store=self._reconciler_store,
            clock=self._clock,
            initial=first_status(settings),
            deployments=deployments,
            settle=admission.settle_before_change,
            project=self._project,
            python=self.python,
            is_atomic=settings.is_atomic,
        )
        parts = (self.state, self._store, self._clock, deployments)
        self._notifications = Notifications(settings.notifications, *parts, location.repo)
        self._triggers = Triggers(settings.triggers, *parts, admission, self._engine.wake)
        self._make_loop()
        self._tracing.connect(self._loop, self._engine)
        self._make_surfaces(admission)

    def _run_ids(self) -> RunIds:
        """Return a generator of ids that sort after every recorded one, even one made while the clock was ahead."""
        with self._store.read() as tx:
            return RunIds(newest=runs.newest_id(tx))

    def _make_loop(self) -> None:
        """Create the loop of passes, and the check that reports a pass that takes too long."""
        is_remote = isinstance(self._settings.location.repo, RemoteUrl)
        self._pass_deadline = PassDeadline(self._store, self._clock, FETCH_DEADLINE if is_remote else PASS_DEADLINE)
        self._loop = Loop(
            self._reconciler,
            self._source,
            clock=self._clock,
            interval=self._settings.interval,
            longest_retry=LONGEST_RETRY if is_remote else self._settings.interval,
            on_failure=self._stop_signal.fail,
            deadline=self._pass_deadline,
        )

    def _make_surfaces(self, admission: Admission) -> None:
        """Create the servers: the socket for the command line, and the address for API clients and browsers."""
        self._operations = OperationContext(
            store=self._store,
            clock=self._clock,
            admission=admission,
            parameters=Parameters(self._store, Forms(self._source), self._settings.location.environment),
            wake=self._engine.wake,
            notify_due=self._engine.notify_due,
            request_pass=self._loop.request_pass,
            test_channel=self._notifications.test_channel,
            notify_settings=self._notifications.settings,
            is_stopping=lambda: self._engine.is_stopping,
        )
        parts = running_parts(
            self._loop,
            self._engine,
            self.python,
            self._execution.local.python_servers,
            self._source,
            self._notifications,
            has_deployment_series=self._settings.notifications.has_deployment_metrics,
        )
        standing = None if self._leading is None else Standing(role=Role.LEADER)
        arguments = (self._settings, self.state, self._source, self._operations, lambda: standing, parts)
        self._web = Web(*arguments, cluster=self._execution.cluster)

    def check(self) -> None:
        """Check the settings against the source before the controller starts.

        Other errors of the source are ignored here: the first pass reports them.

        Raises:
            UsageError: no overlay declares the environment, or the file with channels of notifications is invalid.
            GitUnavailableError: the source needs git, and git is missing or too old.
            StoppingError: the stop signal arrived meanwhile.
        """
        environment = self._settings.location.environment
        try:
            self._notifications.load()
            if self._source.is_pinned:
                find_git()
            if environment is not None:
                with self._interrupt_on_stop():
                    revision = self._source.observe()
                snapshot = self._source.read(revision)
                desired = ManifestReader(environment).read(snapshot.files, self._clock.now(), snapshot.project)
                desired.check_environment()
        except (GitUnavailableError, UsageError, StoppingError):
            self._close()
            raise
        except SourceError:
            return

    def prebuild(self) -> bool:
        """Build all Python environments of the revision. Failures are only logged. Raises StateError.

        Return False if the stop signal arrived meanwhile.
        """
        environment = self._settings.location.environment
        try:
            with self._interrupt_on_stop(self.python.stop):
                declared = read_declared(self._source, environment, self._clock.now())
                log.info("Building Python environments", extra={"count": len(declared.requests)})
                for request in declared.requests.values():
                    self.python.build(request, declared.committed_at)
        except StoppingError:
            return False
        except (SourceError, UsageError, OSError) as error:
            log.warning("Python environments can't be built before the start", extra={"error": str(error)})
        return True

    def run_once(self) -> PassResult:
        """Run one reconcile pass and close. No flows are run."""
        try:
            with self._interrupt_on_stop():
                return self._reconciler.run_pass()
        finally:
            self._close()

    def start(self) -> None:
        """Start to follow the source, to fire schedules, to run flows and to serve requests."""
        location = self._settings.location
        log.info(
            "Controller started",
            extra={
                "version": __version__,
                "repo": str(location.repo),
                "path": location.path,
                "ref": location.ref,
                "state": str(self.state.path),
                "environment": location.environment,
            },
        )
        self._warn_if_exports_are_writable()
        mark_lost_output(self.state.runs)
        self.python.start()
        self._timetable.start()
        # Before the loop, which computes jobs from cursors: the engine corrects them if the clock was ahead.
        self._engine.start()
        self._loop.start()
        self._standby.close()
        self._web.start()
        self._advertise()
        self._notifications.start()
        self._triggers.start()

    def _advertise(self) -> None:
        """Record where standbys reach the API of this controller, if it shares its state with them."""
        if self._leading is None:
            return
        try:
            with self._store.write() as tx:
                set_url(tx, self._web.advertised_url)
        except StateError as error:  # it may lead no longer
            log.warning("The address for standbys can't be recorded", extra={"error": error.message})

    def _warn_if_exports_are_writable(self) -> None:
        """Log a warning at start if flows can change the exported code."""
        user = self._execution.local.user
        is_root = os.geteuid() == 0 and (user is None or user.uid == 0)
        if self._source.is_pinned and is_root and find_protection() is not Protection.MOUNT:
            log.warning(
                "Read-only mounts are not permitted, so flows, which run as root, can change the exported code."
                " It is verified before each run and exported again if it was changed"
            )

    def status(self) -> "StatusView":
        """Return the status that `controller status` shows."""
        from controller.queries.status import current_status

        return current_status(self._store, self.state, self._settings.location, self._clock.now())

    @property
    def failure(self) -> BaseException | None:
        """The error because of which the controller can't continue, if any."""
        deposed = None if self._leading is None else self._leading.failure
        return deposed or self._loop.failure or self._engine.failure

    def stop(self, at_most: float | None = None) -> None:
        """Stop launching runs, record all results received so far, and close everything. Running flows continue.

        The process exits after `at_most` seconds, if given, even if a thread is blocked; the next controller then finds
        the state as after a crash. Time spent waiting for running flows (`drain`) does not count.
        """
        last_resort = exit_after(at_most)
        self._timetable.close()
        self._loop.stop()
        if self._settings.drain and self.failure is None:
            last_resort.set()
            self._drain()
            last_resort = exit_after(at_most)
        self._engine.stop()
        self.python.stop()
        with contextlib.suppress(StateError), self._store.read() as tx:
            self.running_flows = runs.count_in_progress(tx)
        self._close()
        log.info("Controller stopped; running flows continue", extra={"running": self.running_flows})

    def _drain(self) -> None:
        """Wait until all running flows have finished, or until the stop is requested again."""
        self._stop_signal.clear()
        log.info("Waiting for running flows to finish; send the signal again to stop without waiting")
        while not self._engine.drain(_POLL_SECONDS):
            if self._stop_signal.wait(0):
                return

    @contextlib.contextmanager
    def _interrupt_on_stop(self, also: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Interrupt the source if the stop signal arrives in the block: before `start`, nothing else waits for it.

        `also` interrupts something else.
        """
        done = threading.Event()

        def watch() -> None:
            while not done.is_set():
                if self._stop_signal.wait(_POLL_SECONDS):
                    self._source.interrupt()
                    also()
                    return

        watcher = threading.Thread(target=watch, name="interrupt")
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()

    def _close(self) -> None:
        self._standby.close()
        self._web.close()
        self._notifications.close()
        self._triggers.close()
        self._tracing.close()
        self._notices.close()
        self._engine_store.close_readers()
        self._reconciler_store.close_readers()
        if self._leading is not None:
            self._leading.stop()
        self._store.close()
        self.state.release()

    def _on_python_change(self) -> None:
        """Apply what waits for a Python environment. Called from the thread that builds."""
        self._engine.notify_python()
        self._loop.request_pass()

    def _tick(self) -> None:
        """Do the periodic work. The engine's thread calls this every ten seconds."""
        self._timetable.wake(self._clock.now())
        self._prepare_code()
        self._pass_deadline.check()
        if not self._pass_deadline.is_overdue:
            self._notifications.record_progress()
        end_expired_holds(self._operations)
        self._sweeper.sweep()

    def _project(self, agendas: Mapping[str, Agenda], removed: Iterable[str] | None) -> Iterable[str]:
        """Update the timetable, and wake the engine for runs that were created just before the change.

        A single pass (`run_once`) starts no timetable, because it needs no fire times.
        """
        if not self._timetable.is_started:
            return ()
        drifted = self._timetable.project(agendas, removed)
        self._engine.wake()
        self._prepare_code()
        return drifted

    def _prepare_code(self) -> None:
        """Have the code exported before it is due, so that the first run of a new revision does not wait for it."""
        if self._timetable.is_due_soon():
            self._engine.prepare_code()
