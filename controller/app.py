"""The composition root: which concrete parts a controller has, and the order in which they start and stop."""

import contextlib
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path

from controller import __version__
from controller.api.operations import Operations
from controller.api.parameter_check import Parameters
from controller.api.serving import Web
from controller.assembly import make_renderer, make_source
from controller.clock import Clock, SystemClock
from controller.errors import GitUnavailableError, SourceError, StoppingError, UsageError
from controller.manifests import ManifestReader
from controller.model.schedules import Agenda
from controller.model.status import SourceStatus
from controller.python_specs import RenderedSource
from controller.queries.parameter_form import Forms
from controller.queries.status import StatusView, current_status
from controller.reconcile import Loop, Overdue, PassResult, Reconciler
from controller.remotes import RemoteUrl
from controller.runs import file_descriptors
from controller.runs.admission import Admission
from controller.runs.engine import Engine
from controller.runs.executors.local.cgroups import own_group
from controller.runs.executors.local.fork_server_client import ForkServer
from controller.runs.executors.local.launcher import Launcher
from controller.runs.executors.local.supervisor import flow_main
from controller.runs.executors.local.supervisor.poll import ready
from controller.runs.executors.local.users import FlowUser, check_ways, find_user, let_pass
from controller.runs.export_protection import Protection, find_protection
from controller.runs.flow_environment import usable_bases
from controller.runs.ids import RunIds
from controller.runs.lost_output import mark_lost_output
from controller.runs.operations import RunOperations
from controller.runs.pinned_deployments import PinnedDeployments
from controller.runs.retention import Sweeper
from controller.runs.storage_check import StorageMonitor
from controller.scheduler import Timetable
from controller.settings import PROJECT, Settings, flow_environment, secret_variables, temporary_bases
from controller.sources.git import find_git
from controller.store import Store, runs
from controller.store.condition_file import NOTICES, Notices
from controller.store.history_check import check_history
from controller.store.ownership import claim
from controller.store.state_directory import StateDirectory

log = logging.getLogger(__name__)

LONGEST_RETRY = timedelta(minutes=15)
"""After many failures in a row; a server that is down is not to be hammered on."""

PASS_DEADLINE = timedelta(minutes=2)
"""How long a pass may take before its end is in doubt: git and a Python spec that hang are given up sooner."""
FETCH_DEADLINE = timedelta(minutes=20)
"""The same for a remote repository, whose first fetch may take 15 minutes."""

_LOOK_SECONDS = 0.1
_OF_THE_TERMINAL = frozenset({signal.SIGTSTP, signal.SIGCONT})
"""Signals that the live view handles: the interpreter writes their numbers to our pipe too."""


class StopSignal:
    """The one reason to end: a signal, or a part that can't go on. Made before anything else."""

    def __init__(self, *numbers: signal.Signals) -> None:
        self._read, self._write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._is_asked = False
        for number in numbers:
            # What was ignored when we were started stays so: that is how nohup works.
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, lambda *_: None)
        if numbers:
            # The interpreter itself writes to our pipe: a handler in Python would have to wait for the main thread,
            # which sleeps in `wait`, while the kernel may well have handed the signal to another one.
            signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)

    def ask(self) -> None:
        """Ask for it. May be called from any thread."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._write, b"e")

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until somebody asks; False after `timeout` seconds without that, or when the terminal came back."""
        if self._is_asked:
            return True
        if not ready([self._read], timeout):
            return False
        with contextlib.suppress(BlockingIOError):
            self._is_asked = bool(set(os.read(self._read, 64)) - _OF_THE_TERMINAL)
        return self._is_asked

    def forget(self) -> None:
        """Be asked anew."""
        self._is_asked = False
        with contextlib.suppress(BlockingIOError):
            while os.read(self._read, 64):
                pass


class Controller:
    """The controller, to be run until `ending`; `failure` says whether that was its own idea."""

    def __init__(self, settings: Settings, ending: StopSignal, clock: Clock | None = None) -> None:
        self._open_files = file_descriptors.raise_limit()
        self._settings = settings
        self._ending = ending
        self._clock = clock or SystemClock()
        location = settings.location
        user = None if settings.flow_user is None else find_user(settings.flow_user)
        self.state = StateDirectory(location.state_dir)
        self.state.hold(version=__version__, now=self._clock.now(), pause=threading.Event().wait)
        self._store = self._open_store()
        self._notices = Notices(self.state.path / NOTICES)
        self._engine_store = self._store.with_own_readers(2)
        self._reconciler_store = self._store.with_own_readers(2)
        self._source = RenderedSource(
            make_source(location, self.state, working_tree=settings.working_tree), make_renderer(user)
        )
        admission = Admission(self._clock, self._run_ids())
        self._timetable = Timetable(lambda name: self._engine.notify_due(name), self._clock)
        self._engine = Engine(
            store=self._engine_store,
            pinned_deployments=PinnedDeployments(self._source, self._engine_store, location.environment),
            clock=self._clock,
            admission=admission,
            launcher=self._launcher(user),
            max_running=settings.max_running,
            on_tick=self._tick,
            on_failure=ending.ask,
        )
        self._engine.storage = StorageMonitor(self._engine_store, self._clock, self.state.path, self._notices.put)
        self._sweeper = Sweeper(self._engine_store, self._clock, admission, self.state.runs)
        self._reconciler = Reconciler(
            source=self._source,
            store=self._reconciler_store,
            clock=self._clock,
            initial=_first_status(settings),
            settle=admission.settle_before_change,
            project=self._project,
            environment=location.environment,
            is_atomic=settings.is_atomic,
        )
        is_remote = isinstance(location.repo, RemoteUrl)
        self._overdue = Overdue(self._store, self._clock, FETCH_DEADLINE if is_remote else PASS_DEADLINE)
        self._loop = Loop(
            self._reconciler,
            self._source,
            clock=self._clock,
            interval=settings.interval,
            longest_retry=LONGEST_RETRY if is_remote else settings.interval,
            on_failure=ending.ask,
            overdue=self._overdue,
        )
        self._make_surfaces(admission)

    def _open_store(self) -> Store:
        """The database, if it has its history and is this repository's. Raises StateError, UsageError."""
        try:
            check_history(self.state)
            store = Store.open(self.state.database, project=PROJECT, check=self.state.check)
            self.state.remember()
        except BaseException:
            self.state.release()
            raise
        try:
            with store.write() as tx:
                claim(tx, self._settings.location, self._clock.now(), is_adopted=self._settings.adopt_state)
        except BaseException:
            store.close()
            self.state.release()
            raise
        return store

    def _run_ids(self) -> RunIds:
        """Ids that sort after every recorded one, also if a clock that was ahead gave it."""
        with self._store.read() as tx:
            return RunIds(newest=runs.newest_id(tx))

    def _make_surfaces(self, admission: Admission) -> None:
        """What answers those who ask: the command line at the socket, programs and browsers at an address."""
        parameters = Parameters(self._store, Forms(self._source))
        self._operations = Operations(
            store=self._store,
            clock=self._clock,
            runs=RunOperations(self._store, admission, self._clock, self._engine.wake),
            look_at=self._engine.notify_due,
            reconcile=self._loop.ask,
            check=parameters.check,
        )
        self._web = Web(
            self._settings,
            store=self._store,
            state=self.state,
            source=self._source,
            clock=self._clock,
            operations=self._operations,
            parameters=parameters,
        )

    def _launcher(self, user: FlowUser | None) -> Launcher:
        environment = flow_environment()
        if user is not None:
            environment = {**environment, **user.environment}
            code = [] if self._source.is_pinned else [self._settings.location.directory / "any"]
            check_ways(user, self.state.path, Path(sys.executable).resolve(), Path(flow_main.__file__), *code)
            let_pass(user, self.state.path, self.state.runs)
        return Launcher(
            directory=self.state.runs,
            environment=environment,
            grace=self._settings.grace,
            variables=secret_variables(),
            group=own_group(),
            user=user,
            server=ForkServer(environment, self._clock),
            open_files=self._open_files,
            temporary_bases=usable_bases(temporary_bases(), user),
        )

    def check(self) -> None:
        """Raises UsageError for an environment that nothing declares, and GitUnavailableError if git is needed.

        A source that cannot be read otherwise may say it later.
        """
        environment = self._settings.location.environment
        try:
            if self._source.is_pinned:
                find_git()
            if environment is not None:
                with self._ending_early():
                    revision = self._source.observe()
                snapshot = self._source.read(revision)
                desired = ManifestReader(environment).read(snapshot.files, self._clock.now(), snapshot.project)
                desired.check_environment()
        except (GitUnavailableError, UsageError, StoppingError):
            self._close()
            raise
        except SourceError:
            return

    def run_once(self) -> PassResult:
        """One pass, no runs."""
        try:
            with self._ending_early():
                return self._reconciler.run_pass()
        finally:
            self._close()

    def start(self) -> None:
        """Begin to follow, to fire and to answer."""
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
        self._say_what_is_not_enforced()
        mark_lost_output(self.state.runs)
        self._timetable.start()
        # Before the loop: it computes jobs from cursors that the engine puts right where the clock was ahead.
        self._engine.start()
        self._loop.start()
        self._web.start()

    def _say_what_is_not_enforced(self) -> None:
        """Once, at start: what the machine does not let us keep flows from."""
        user = self._engine.launcher.user
        is_root = os.geteuid() == 0 and (user is None or user.uid == 0)
        if self._source.is_pinned and is_root and find_protection() is not Protection.MOUNT:
            log.warning(
                "The system refuses read-only mounts: a flow, which runs as root, can change the exported code."
                " controller compares it with its list of files before each run and exports it again if it was changed"
            )

    def look(self) -> StatusView:
        """The picture that `controller status` shows."""
        return current_status(self._store, self.state, self._settings.location, self._clock.now())

    @property
    def failure(self) -> BaseException | None:
        """Why it can't go on, if that is so."""
        return self._loop.failure or self._engine.failure

    def stop(self, at_most: float | None = None) -> None:
        """Launch nothing more, write down what is known, give everything back. Running flows live on.

        With `at_most` the process ends after so many seconds, whatever a thread is blocked in; the time in which
        running flows are waited for does not count. The next controller finds the state as after a crash.
        """
        last_resort = _exit_after(at_most)
        self._timetable.close()
        self._loop.stop()
        if self._settings.drain and self.failure is None:
            last_resort.set()
            self._drain()
            last_resort = _exit_after(at_most)
        self._engine.stop()
        self._close()
        log.info("Controller stopped; running flows go on")

    def _drain(self) -> None:
        """Wait for what runs, unless somebody asks once more."""
        self._ending.forget()
        log.info("Waiting for running flows to end; asked once more, it ends without them")
        while not self._engine.drain(_LOOK_SECONDS):
            if self._ending.wait(0):
                return

    @contextlib.contextmanager
    def _ending_early(self) -> Iterator[None]:
        """Within, the end is not waited for by anybody: see to it that a server that stalls does not keep us."""
        done = threading.Event()

        def watch() -> None:
            while not done.is_set():
                if self._ending.wait(_LOOK_SECONDS):
                    self._source.interrupt()
                    return

        watcher = threading.Thread(target=watch, name="ending")
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()

    def _close(self) -> None:
        self._web.close()
        self._notices.close()
        self._engine_store.close_readers()
        self._reconciler_store.close_readers()
        self._store.close()
        self.state.release()

    def _tick(self) -> None:
        """Every ten seconds, on the engine's thread."""
        self._timetable.wake(self._clock.now())
        self._overdue.check()
        self._operations.end_holds()
        self._sweeper.sweep()

    def _project(self, wanted: Mapping[str, Agenda], gone: Iterable[str] | None) -> Iterable[str]:
        """To the timetable; and what was decided about just before a change is waiting for a place now."""
        projected = self._timetable.project(wanted, gone)
        self._engine.wake()
        return projected.drifted


def _exit_after(seconds: float | None) -> threading.Event:
    """End the process after so many seconds unless the event is set; None: never. Also while it waits for threads."""
    called_off = threading.Event()

    def end() -> None:
        if not called_off.wait(seconds):
            log.critical("A part of the controller does not stop; it ends without it", extra={"seconds": seconds})
            logging.shutdown()
            os._exit(1)

    if seconds is not None:
        threading.Thread(target=end, name="last resort", daemon=True).start()
    return called_off


def _first_status(settings: Settings) -> SourceStatus:
    location = settings.location
    followed = [str(location.repo), location.ref, location.path, location.environment, settings.working_tree]
    return SourceStatus(
        repo=str(location.repo),
        ref=location.ref,
        environment=location.environment,
        revision=None,
        last_attempted_revision=None,
        last_applied_revision=None,
        followed=json.dumps(followed),
    )
