"""The process between the controller and a Python spec: it forks the driver, and kills everything the spec started.

Started by `render_process` as `python -P sandbox.py RESULT_FD`, with the call as a line of JSON on standard input. The
caller keeps the other end of standard input open; when it is closed, the spec is stopped. Like the supervisor of a
run, this process is a subreaper, so that processes of the spec in other sessions are found too. The exit code of the
driver, or `late`, is written to standard output. This file imports only the standard library, and removes our own
modules before the spec runs, so that the spec can't import them.
"""

import contextlib
import importlib.util
import json
import os
import select
import sys
from typing import Any

LATE = "late"
GRACE_SECONDS = 1.0
"""The driver gets this much longer to stop a late spec itself, because it can then report the line."""
_KILL_SECONDS = 5.0
_HERE = os.path.dirname(os.path.abspath(__file__))
_TREE = os.path.join(os.path.dirname(_HERE), "runs", "executors", "local", "supervisor", "process_tree.py")


def main() -> None:
    """Fork the driver, wait for it, and write its exit status."""
    tree = load_file("_tree", _TREE)
    for name in [name for name in sys.modules if name.partition(".")[0] == "controller"]:
        del sys.modules[name]
    tree.adopt_orphans()
    call = read_call()
    parent = os.getpid()
    driver = os.fork()
    if driver == 0:
        os.setsid()
        tree.die_with(parent)
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(nothing, 1)
        load_file("_driver", os.path.join(_HERE, "driver.py")).main(int(sys.argv[1]), call)
        return
    status = wait_for(driver, call["timeout"] + GRACE_SECONDS)
    never, _ = os.pipe()
    tree.end_all(never, _KILL_SECONDS, None)
    with contextlib.suppress(BrokenPipeError):
        os.write(1, status.encode())


def read_call() -> dict[str, Any]:
    """Read the call from standard input."""
    data = b""
    while not data.endswith(b"\n"):
        chunk = os.read(0, 1 << 16)
        if not chunk:
            sys.exit(0)
        data += chunk
    call: dict[str, Any] = json.loads(data)
    return call


def wait_for(driver: int, seconds: float) -> str:
    """Return the exit code of the driver, or `LATE` if it has not ended after `seconds`, or if our caller is gone."""
    handle = os.pidfd_open(driver)
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    poll.register(0, 0)  # POLLHUP is always reported
    if handle not in [descriptor for descriptor, _ in poll.poll(seconds * 1000)]:
        return LATE
    return str(os.waitstatus_to_exitcode(os.waitpid(driver, 0)[1]))


def load_file(name: str, path: str) -> Any:
    """Load one of our own files as a module that is not in `sys.modules`."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
