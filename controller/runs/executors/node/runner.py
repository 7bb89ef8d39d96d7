"""The runner of one attempt: fetches code and environment, asks to start, runs the flow, and reports how it ended.

`bootstrap` calls `main`. Before the controller has allowed the start, nothing of the user runs, and SIGTERM ends the
runner. After that, SIGTERM stops the flow as cancelled. The runner has no threads: its supervisor would die with them.
"""

import hashlib
import hmac
import os
import signal
import socket
import sys
import time
from typing import Any, NoReturn

from controller.runs.executors.local.supervisor import process_tree
from controller.runs.executors.node.attempt_directory import AttemptDirectory, end_lost_attempts
from controller.runs.executors.node.cache import RUNNER, Cache
from controller.runs.executors.node.code_packages import find_or_fetch
from controller.runs.executors.node.connection import Connection, RefusedError, UnansweredError, repeat
from controller.runs.executors.node.environments import BuildError, find_or_build, installer_variables
from controller.runs.executors.node.flow import Flow, wait
from controller.runs.executors.node.reports import Reports

START_SECONDS = 600.0
_LAST_WORDS_SECONDS = 1.0


class StoppedError(BaseException):
    """SIGTERM before the flow was started."""


def main(cache: str, package: str, instance: str) -> int:
    """Run the attempt that the variables of this job name; return the exit code."""
    try:
        return Runner(cache, package, instance, dict(os.environ)).run()
    except (UnansweredError, RefusedError, OSError, KeyError, ValueError) as error:
        print(f"controller: {type(error).__name__}: {error}", file=sys.stderr)
        return 1


class Runner:
    """One attempt. `package`: the folder of this package. `instance`: the id of this process for the controller."""

    def __init__(self, cache: str, package: str, instance: str, variables: dict[str, str]) -> None:
        self._cache = Cache(cache)
        self._package = package
        self._instance = instance
        self._variables = variables
        self._ticket = variables["CONTROLLER_TICKET"]
        self._path = f"/node/v1/attempts/{variables['CONTROLLER_JOB']}"
        self._connection = Connection(variables["CONTROLLER_NODE_URL"], self._ticket, instance)
        self._flow: Flow | None = None
        self._nonce = ""

    def run(self) -> int:
        """Run it from the first request to the last; return the exit code."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        process_tree.adopt_orphans()
        directory = AttemptDirectory(self._cache.directory)
        try:
            signal.signal(signal.SIGTERM, self._handle_sigterm)
            self._cache.find_or_make(RUNNER, os.path.basename(self._package), os.path.isdir, _fail_to_make)
            end_lost_attempts(self._cache.directory)
            return self._run(directory)
        except StoppedError:
            self._report_stop()
            return 0
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            directory.remove()
            self._cache.prune()

    def _run(self, directory: AttemptDirectory) -> int:
        try:
            order = self._request("fetch", {})
            self._nonce = order["nonce"]
            places = self._prepare(order)
        except (OSError, BuildError, UnansweredError) as error:
            return self._fail(str(error))
        self._reach("prepared")
        start = self._request("start", self._introduction())
        self._reach("started")
        on_silence = order.get("on_silence")
        reports = Reports(self._connection, self._path, directory.path, on_silence)
        try:
            directory.write(order, start, places)
            ending = self._run_flow(directory, start["secrets"], reports, on_silence)
        except OSError as error:
            ending = _crashed(self._nonce, f"the flow could not be started: {error}")
        self._reach("ended")
        try:
            reports.send_end(ending)
        except RefusedError as error:
            print(f"controller: {error}", file=sys.stderr)
        self._reach("reported")
        return 0

    def _prepare(self, order: dict[str, Any]) -> dict[str, Any]:
        """Fetch the code and build the environment. Raises OSError, BuildError, UnansweredError, RefusedError."""
        code = python = None
        if order["code"] is not None:
            digest = order["code"]["digest"]
            code = repeat(lambda: find_or_fetch(self._cache, self._connection, digest), START_SECONDS)
        if order["python"] is not None:
            python = find_or_build(self._cache, order["python"], installer_variables(self._variables))
        tmp = self._variables.get("TMPDIR", "/tmp")
        sdk = f"{self._package}/sdk"
        return {"code": code, "python": python, "sdk": sdk, "tmp": tmp, "variables": self._variables}

    def _run_flow(
        self, directory: AttemptDirectory, secrets: "dict[str, str | None]", reports: Reports, on_silence: Any
    ) -> dict[str, Any]:
        """Run the flow to its end; return how it ended."""
        flow = Flow(directory.path, self._package, self._nonce)
        if (reason := flow.why_not_ready()) is not None:
            return flow.crashed(reason)
        self._flow = flow
        flow.go(secrets)
        self._reach("running")
        is_silent = False
        while not flow.has_ended():
            pause = reports.send_due()
            is_silent = is_silent or (on_silence is not None and reports.silence > on_silence)
            if reports.is_over or reports.is_cancelled or is_silent:
                flow.request_stop()
            wait(flow, pause)
        ending = flow.finish()
        if is_silent and ending["outcome"] == "cancelled":
            ending["reason"] = f"no controller had answered for {on_silence:g} seconds (see on_silence)"
        return ending

    def _introduction(self) -> dict[str, Any]:
        introduction: dict[str, Any] = {"node": socket.gethostname(), "pid": os.getpid()}
        file = self._variables.get("CONTROLLER_NODE_SECRET_FILE")
        if file:
            with open(file, "rb") as stream:
                secret = stream.read().strip()
            text = f"{self._ticket}{self._instance}".encode()
            introduction["proof"] = hmac.new(secret, text, hashlib.sha256).hexdigest()
        return introduction

    def _request(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        return repeat(lambda: self._connection.post(f"{self._path}/{name}", body), START_SECONDS)

    def _fail(self, reason: str) -> int:
        """Report that this node can't run the attempt; return the exit code."""
        print(f"controller: {reason}", file=sys.stderr)
        self._request("fail", {"reason": reason})
        return 1

    def _report_stop(self) -> None:
        """Say once that SIGTERM came before the flow was started: engines soon send SIGKILL."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self._connection.close()  # it may be in the middle of an answer
        reason = "the job was stopped before its flow was started"
        try:
            self._connection.post(f"{self._path}/fail", {"reason": reason}, seconds=_LAST_WORDS_SECONDS)
        except UnansweredError:
            return
        except RefusedError:  # the controller has allowed the start
            ending = {"nonce": self._nonce, "outcome": "cancelled", "finished_at": time.time()}
            try:
                self._connection.post(f"{self._path}/end", ending, seconds=_LAST_WORDS_SECONDS)
            except (UnansweredError, RefusedError):
                return

    def _handle_sigterm(self, *_: object) -> None:
        if self._flow is None:
            raise StoppedError
        self._flow.request_stop()

    def _reach(self, point: str) -> None:
        """Die here, as if the machine had failed, if a test requests it with `CONTROLLER_CRASHPOINT`."""
        if f"runner:{point}" in self._variables.get("CONTROLLER_CRASHPOINT", "").split(","):
            os.kill(os.getpid(), signal.SIGKILL)


def _crashed(nonce: str, reason: str) -> dict[str, Any]:
    return {"nonce": nonce, "outcome": "crashed", "reason": reason, "finished_at": time.time()}


def _fail_to_make(folder: str) -> NoReturn:
    raise OSError(f"{folder} was removed")
