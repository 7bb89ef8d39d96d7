"""A job engine for tests: jobs are real, detached processes on made-up nodes, and its memory is one directory.

Like a cluster it outlives controllers, and any process can open it again. Tests make it misbehave as clusters do: it
loses nodes, starts jobs twice, loses its list of them, changes its session, does not answer, and refuses jobs.
"""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from controller.runs.executors.local.supervisor import process_tree
from controller.runs.executors.remote.job_engine import (
    EngineUnreachableError,
    Job,
    JobList,
    JobPhase,
    JobRefusedError,
    JobStatus,
)

_UNREACHABLE, _REFUSAL, _FULL = "unreachable", "refusal", "full"


class ProcessEngine:
    """The engine in `directory`. `path` is the PATH of its nodes, `variables` are further variables of all jobs."""

    name = "process"

    def __init__(self, directory: Path, path: str) -> None:
        self.directory = directory
        self._jobs = directory / "jobs"
        self._jobs.mkdir(parents=True, exist_ok=True)
        self._path = path
        self.variables: dict[str, str] = {}
        with self._locked():
            if not (directory / "session").exists():
                self._write("session", uuid.uuid4().hex)

    # The protocol of job engines.

    def submit(self, job: Job) -> str:
        """Submit a job, unless it was submitted already."""
        self._answer()
        if (self.directory / _REFUSAL).exists():
            raise JobRefusedError((self.directory / _REFUSAL).read_text(encoding="utf-8"))
        with self._locked():
            place = self._jobs / job.job_id
            if not place.exists():
                new = self.directory / f"new-{uuid.uuid4().hex}"
                new.mkdir()
                content = {"argv": job.argv, "variables": {**job.variables, **self.variables}, "labels": {**job.labels}}
                (new / "job.json").write_text(json.dumps(content), encoding="utf-8")
                new.rename(place)
            self._schedule()
            return self.session

    def list_jobs(self) -> JobList:
        """Return all jobs."""
        self._answer()
        with self._locked():
            self._schedule()
            jobs = {place.name: self._status(place) for place in self._jobs.iterdir()}
            return JobList(session=self.session, jobs=jobs)

    def stop(self, job_id: str) -> None:
        """Send SIGTERM to the runners of a job; one that waits never starts."""
        self._answer()
        with self._locked():
            place = self._jobs / job_id
            if place.exists() and not self._processes(place):
                (place / "stopped").touch()
            for pid in self._alive(place):
                _kill(pid, signal.SIGTERM)

    def forget(self, job_id: str) -> None:
        """Remove a job that is over."""
        self._answer()
        with self._locked():
            place = self._jobs / job_id
            if place.exists() and self._status(place).phase is JobPhase.OVER:
                shutil.rmtree(place)

    # Faults that tests cause.

    @property
    def session(self) -> str:
        return (self.directory / "session").read_text(encoding="utf-8")

    @property
    def jobs(self) -> list[str]:
        """The ids of the jobs that it knows."""
        return sorted(path.name for path in self._jobs.iterdir())

    def runners(self, job_id: str) -> list[int]:
        """The processes of a job that are alive: its runners, in the order of their starts."""
        return self._alive(self._jobs / job_id)

    def repeat(self, job_id: str) -> None:
        """Start a job once more, although it was started."""
        with self._locked():
            self._start(self._jobs / job_id)

    def lose_node(self, node: str) -> None:
        """Kill all processes of a node."""
        for place in list(self._jobs.iterdir()):
            for process in self._processes(place):
                if process["node"] == node:
                    _kill_tree(process)

    def lose_job(self, job_id: str) -> None:
        """Kill all processes of a job: its node is lost, and ran nothing else."""
        for process in self._processes(self._jobs / job_id):
            _kill_tree(process)

    def kill_runner(self, job_id: str) -> None:
        """Kill only the runner of a job, as when its node is short of memory."""
        for pid in self.runners(job_id):
            _kill(pid, signal.SIGKILL)

    def forget_all(self) -> None:
        """Lose the list of jobs. Their processes keep running."""
        with self._locked():
            for place in list(self._jobs.iterdir()):
                place.rename(self.directory / f"forgotten-{uuid.uuid4().hex}")

    def change_session(self) -> None:
        """Lose the list of jobs, as an engine does whose server was restarted."""
        self.forget_all()
        self._write("session", uuid.uuid4().hex)

    def set_reachable(self, is_reachable: bool) -> None:
        self._set(_UNREACHABLE, not is_reachable)

    def set_full(self, is_full: bool) -> None:
        """Let jobs wait, or start those that wait when it is asked next."""
        self._set(_FULL, is_full)

    def refuse(self, reason: str | None) -> None:
        """Refuse new jobs for this reason; None: accept them again."""
        if reason is None:
            (self.directory / _REFUSAL).unlink(missing_ok=True)
        else:
            self._write(_REFUSAL, reason)

    def close(self) -> None:
        """Kill everything that was ever started."""
        for place in [*self._jobs.iterdir(), *self.directory.glob("forgotten-*")]:
            for process in self._processes(place):
                _kill_tree(process)

    # Its own work.

    def _answer(self) -> None:
        if (self.directory / _UNREACHABLE).exists():
            raise EngineUnreachableError("connection refused")

    def _schedule(self) -> None:
        """Start the jobs that wait: also those that were submitted by a controller that was killed at once."""
        if (self.directory / _FULL).exists():
            return
        for place in self._jobs.iterdir():
            if not self._processes(place) and not (place / "stopped").exists():
                self._start(place)

    def _start(self, place: Path) -> None:
        """Start a job on a node of its own."""
        job = json.loads((place / "job.json").read_text(encoding="utf-8"))
        processes = self._processes(place)
        node = f"node-{place.name}-{len(processes)}"
        cache = self.directory / "cache"
        cache.mkdir(mode=0o700, exist_ok=True)
        env = {"PATH": self._path, "HOME": "/", "CONTROLLER_NODE_CACHE": str(cache), "ENGINE_NODE": node}
        with (self.directory / "output").open("ab") as output:
            process = subprocess.Popen(
                job["argv"],
                env={**env, **job["variables"]},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        processes.append({"pid": process.pid, "start": _start_time(process.pid), "node": node})
        process.returncode = 0  # it outlives this process
        (place / "processes.new").write_text(json.dumps(processes), encoding="utf-8")
        (place / "processes.new").rename(place / "processes")

    def _status(self, place: Path) -> JobStatus:
        if self._alive(place):
            return JobStatus(phase=JobPhase.RUNNING)
        if self._processes(place):
            return JobStatus(phase=JobPhase.OVER, message="its process has ended")
        if (place / "stopped").exists():
            return JobStatus(phase=JobPhase.OVER, message="stopped")
        return JobStatus(phase=JobPhase.WAITING)

    def _processes(self, place: Path) -> list[dict[str, Any]]:
        with suppress(FileNotFoundError):
            found: list[dict[str, Any]] = json.loads((place / "processes").read_text(encoding="utf-8"))
            return found
        return []

    def _alive(self, place: Path) -> list[int]:
        return [process["pid"] for process in self._processes(place) if _is_alive(process)]

    def _write(self, name: str, text: str) -> None:
        (self.directory / name).write_text(text, encoding="utf-8")

    def _set(self, name: str, is_set: bool) -> None:
        if is_set:
            (self.directory / name).touch()
        else:
            (self.directory / name).unlink(missing_ok=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.directory / "lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _is_alive(process: dict[str, Any]) -> bool:
    """Whether the process runs; reap it if it is a child of this one."""
    with suppress(ChildProcessError):
        os.waitpid(process["pid"], os.WNOHANG)
    return bool(process["start"]) and _start_time(process["pid"]) == process["start"]


def _start_time(pid: int) -> str | None:
    """Return the start time of a process, which tells it from a later one with its id; None for a zombie."""
    with suppress(OSError):
        state, *fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return None if state == "Z" else fields[18]
    return None


def _kill_tree(process: dict[str, Any]) -> None:
    """Kill a runner and all processes below it. It is stopped first, so that it does not see the others die."""
    if _is_alive(process):
        _kill(process["pid"], signal.SIGSTOP)
        for pid in [*process_tree.descendants(process["pid"]), process["pid"]]:
            _kill(pid, signal.SIGKILL)


def _kill(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
