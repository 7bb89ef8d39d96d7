"""The composition root: the only place that names concrete parts, and the order in which they start and stop."""

import contextlib
import logging
import os
import select
import signal
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from controller import __version__
from controller.api import run_requests
from controller.api.control import ControlServer
from controller.clock import Clock, SystemClock
from controller.errors import SourceError, UsageError
from controller.manifests import ManifestReader
from controller.model.schedules import Agenda
from controller.model.status import SourceStatus
from controller.reconcile import Loop, PassResult, Reconciler
from controller.runs import Engine
from controller.runs.admission import Admission
from controller.runs.ids import RunIds
from controller.runs.launcher import Launcher
from controller.runs.requests import Requests
from controller.runs.retention import Sweeper
from controller.runs.specification import Specifications
from controller.scheduling import Timetable
from controller.settings import PROJECT, Location, Settings, flow_environment, is_git_repository
from controller.sources.directory import DirectorySource
from controller.sources.git import GitSource
from controller.sources.source import Source
from controller.store import Store
from controller.store.directory import StateDirectory
from controller.views.status import StatusView, look_in

log = logging.getLogger(__name__)


class Ending:
    """The one reason to end: a signal, or a part that can't go on. Made before anything else."""

    def __init__(self, *numbers: signal.Signals) -> None:
        self._read, self._write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
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
        """Wait until somebody asks; False after `timeout` seconds without that."""
        return bool(select.select([self._read], [], [], timeout)[0])


class Controller:
    """The controller, to be run until `ending`; `failure` says whether that was its own idea."""

    def __init__(self, settings: Settings, ending: Ending, clock: Clock | None = None) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        location = settings.location
        self.state = StateDirectory(location.state_dir)
        self.state.hold(version=__version__, now=self._clock.now(), pause=threading.Event().wait)
        self._store = Store.open(self.state.database, project=PROJECT)
        self._source = make_source(location, self.state, working_tree=settings.working_tree)
        admission = Admission(self._clock, RunIds())
        self._timetable = Timetable(lambda name: self._engine.look_at(name))
        self._engine = Engine(
            store=self._store,
            specifications=Specifications(self._source, self._store, location.environment),
            clock=self._clock,
            admission=admission,
            launcher=Launcher(directory=self.state.runs, environment=flow_environment(), grace=settings.grace),
            max_running=settings.max_running,
            on_tick=self._tick,
            on_failure=ending.ask,
        )
        self._sweeper = Sweeper(self._store, self._clock, admission, self.state.runs)
        self._requests = Requests(self._store, admission, self._clock, self._engine.wake)
        self._reconciler = Reconciler(
            source=self._source,
            store=self._store,
            clock=self._clock,
            initial=_first_status(location),
            settle=admission.settle,
            project=self._project,
            environment=location.environment,
        )
        self._loop = Loop(self._reconciler, self._source, interval=settings.interval, on_failure=ending.ask)
        self._control = ControlServer(self.state.socket, self._answer)

    def check(self) -> None:
        """Raises UsageError for an environment that nothing declares; a source that can't be read may say it later."""
        environment = self._settings.location.environment
        try:
            if environment is not None:
                snapshot = self._source.read(self._source.observe())
                desired = ManifestReader(environment).read(snapshot.files, self._clock.now(), snapshot.project)
                desired.check_environment()
        except SourceError:
            return
        except UsageError:
            self._close()
            raise

    def run_once(self) -> PassResult:
        """One pass, no runs."""
        try:
            return self._reconciler.run_pass()
        finally:
            self._close()

    def start(self) -> None:
        """Begin to follow, to fire and to answer."""
        location = self._settings.location
        log.info(
            "Controller started",
            extra={"version": __version__, "repo": str(location.repo), "path": location.path, "ref": location.ref},
        )
        self._timetable.start()
        self._engine.start()
        self._loop.start()
        self._control.start()

    def look(self) -> StatusView:
        """The picture that `controller status` shows."""
        return look_in(self._store, self.state, self._settings.location, self._clock.now())

    @property
    def failure(self) -> BaseException | None:
        """Why it can't go on, if that is so."""
        return self._loop.failure or self._engine.failure

    def stop(self) -> None:
        """Launch nothing more, write down what is known, give everything back. Running flows live on."""
        self._timetable.close()
        self._loop.stop()
        self._engine.stop()
        self._close()
        log.info("Controller stopped; running flows go on")

    def _close(self) -> None:
        self._control.close()
        self._store.close()
        self.state.release()

    def _tick(self) -> None:
        """What is to be done every ten seconds, on the engine's thread."""
        self._timetable.wake(self._clock.now())
        self._sweeper.sweep()

    def _project(self, wanted: Mapping[str, Agenda], gone: Iterable[str] | None) -> Iterable[str]:
        """To the timetable; and what was decided about just before a change is waiting for a place now."""
        projected = self._timetable.project(wanted, gone)
        self._engine.wake()
        return projected.drifted

    def _answer(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        answer = run_requests.answer(self._requests, request)
        if answer is not None:
            return answer
        raise UsageError("The controller does not understand this request.", hint="Is it of another version?")


def make_source(location: Location, state: StateDirectory, *, working_tree: bool) -> Source:
    """The source for this location: a git repository at its commits, or the files as they are."""
    is_git = is_git_repository(location.repo)
    if is_git and not working_tree:
        return GitSource(location.repo, ref=location.ref, path=location.path, exports=state.exports)
    if location.ref is not None:
        raise UsageError(f"--ref {location.ref} needs a git repository; {location.repo} is followed as a directory.")
    return DirectorySource(location.repo, path=location.path, follow_links=not is_git)


def _first_status(location: Location) -> SourceStatus:
    return SourceStatus(
        repo=str(location.repo),
        ref=location.ref,
        revision=None,
        last_attempted_revision=None,
        last_applied_revision=None,
    )
