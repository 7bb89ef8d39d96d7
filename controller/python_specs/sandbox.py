"""The process between the controller and a Python spec: forks the driver, and ends all that the spec has started.

Started by `render_process` as `python -P guard.py RESULT_FD`, with the call as a line of JSON on standard input; the
other end of that is held open by whoever wants the answer, and the spec ends when nobody does. It is a subreaper, as
the supervisor of a run is, so that a session of its own does not help what a spec leaves behind. How the driver ended
goes to standard output: its exit code, or `late`. It stands alone, and leaves nothing of ours to be imported by the
spec.
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
"""The driver ends what is late by itself, and then knows where it was."""
_KILL_SECONDS = 5.0
_HERE = os.path.dirname(os.path.abspath(__file__))
_TREE = os.path.join(os.path.dirname(_HERE), "runs", "executors", "local", "supervisor", "process_tree.py")


def main() -> None:
    """Have the file executed, and write how that ended."""
    tree = loaded("_tree", _TREE)
    for name in [name for name in sys.modules if name.partition(".")[0] == "controller"]:
        del sys.modules[name]
    tree.adopt_orphans()
    call = heard()
    guard = os.getpid()
    driver = os.fork()
    if driver == 0:
        os.setsid()
        tree.die_with(guard)
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(nothing, 1)
        loaded("_driver", os.path.join(_HERE, "driver.py")).main(int(sys.argv[1]), call)
        return
    said = attended(driver, call["timeout"] + GRACE_SECONDS)
    never, _ = os.pipe()
    tree.end_all(never, _KILL_SECONDS, None)
    with contextlib.suppress(BrokenPipeError):
        os.write(1, said.encode())


def heard() -> dict[str, Any]:
    """The call."""
    said = b""
    while not said.endswith(b"\n"):
        chunk = os.read(0, 1 << 16)
        if not chunk:
            sys.exit(0)
        said += chunk
    call: dict[str, Any] = json.loads(said)
    return call


def attended(driver: int, seconds: float) -> str:
    """How the driver ended; it may not have, after so many seconds, or where nobody waits for it any more."""
    handle = os.pidfd_open(driver)
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    poll.register(0, 0)  # a hang-up is always told
    if handle not in [descriptor for descriptor, _ in poll.poll(seconds * 1000)]:
        return LATE
    return str(os.waitstatus_to_exitcode(os.waitpid(driver, 0)[1]))


def loaded(name: str, path: str) -> Any:
    """A file of ours as a module that nobody else finds."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
