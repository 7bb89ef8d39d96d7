"""Executes one Python spec in a process that was forked for it by `sandbox`, and writes down what it has declared.

It stands alone, and lets the file import what a flow could import (`flow_process` says how). What was registered by
`controller.sdk.deployment_specs` is written as documents, each with the line of its call.
"""

import ast
import importlib.util
import json
import os
import resource
import signal
import sys
import time
import traceback
import types
from collections.abc import Callable
from typing import Any

MAX_RESULT_BYTES = 1 << 20
MEMORY_BYTES = 2 << 30
CPU_SECONDS = 20
PATIENCE_SECONDS = 2.0
_MAX_MESSAGE = 300
_PLACES = ("root", "path", "origin")
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_FLOW_MAIN = os.path.join(_PACKAGE, "runs", "executors", "local", "supervisor", "flow_main.py")


class _LateError(BaseException):
    """It takes too long. Goes through `except Exception` of the file."""


def main(result: int, call: dict[str, Any]) -> None:
    """Execute, and write the result to the descriptor."""
    os.set_inheritable(result, False)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
    data = json.dumps(rendered(*places_of(call), call["timeout"])).encode()
    if len(data) > MAX_RESULT_BYTES:
        data = json.dumps({"error": {"line": 1, "message": f"it declares more than {MAX_RESULT_BYTES} bytes"}}).encode()
    os.write(result, data)


def places_of(call: dict[str, Any]) -> tuple[str, str, str | None]:
    """The paths of the call, which are UTF-8, as this interpreter's locale spells them."""
    root, path, origin = (os.fsdecode((call.get(key) or "").encode("utf-8", "surrogateescape")) for key in _PLACES)
    return root, path, origin or None


def rendered(root: str, path: str, origin: str | None, timeout: float) -> dict[str, Any]:
    """What the file declares, or why it could not be told; and the files of the repository that it has read.

    `is_passing`: the reason may be gone by the next time, though no file has changed, and it costs little to look.
    """
    began = time.monotonic()
    full = os.path.join(root, path)
    read = set[str]()
    sys.addaudithook(lambda event, details: note(event, details, read))
    try:
        with_limit(timeout, lambda: execute(root, full, path))
        specs = sys.modules.get("controller.sdk.deployment_specs")
        registered = [] if specs is None else vars(specs)["registered"]
        places = calls_in(full)
        found: dict[str, Any] = {"documents": [document(spec, root, full, origin, places) for spec in registered]}
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is the file's
        found = {"error": {"line": line_of(error, full), "message": message_of(error)}}
        found["is_passing"] = isinstance(error, ImportError | OSError) and time.monotonic() - began < PATIENCE_SECONDS
    return {**found, "files": read_from(root, full, read)}


def note(event: str, details: tuple[Any, ...], read: set[str]) -> None:
    """Note each file whose code is compiled or executed, also if it then fails and is no module."""
    if event == "exec":
        read.add(str(getattr(details[0], "co_filename", "")))
    elif event == "compile" and isinstance(details[1], str):
        read.add(details[1])


def with_limit(seconds: float, call: Callable[[], None]) -> None:
    """Call, and end it by an exception once it has taken so long: that one knows the line."""

    def end(*_: object) -> None:
        raise _LateError(f"it took longer than {seconds:g} seconds")

    signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        call()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def execute(root: str, full: str, path: str) -> None:
    """Execute the file as a flow's file is."""
    spec = importlib.util.spec_from_file_location("_flow_process", _FLOW_MAIN)
    assert spec is not None
    assert spec.loader is not None
    flow_process = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(flow_process)
    flow_process.make_importable(root, os.path.dirname(full))
    sys.modules["__main__"] = types.ModuleType("__main__")
    sys.argv = [full]
    sys.dont_write_bytecode = True
    flow_process.load(full, path)


def document(spec: Any, root: str, full: str, origin: str | None, places: dict[int, Any]) -> dict[str, Any]:
    """One spec as a document with the places in it."""
    line = next((number for file, number in spec.places if os.path.realpath(file) == os.path.realpath(full)), 1)
    value = spec.plain()
    location = value.get("flow_location")
    if isinstance(location, str) and os.path.isabs(location):
        value["flow_location"] = relative(location, root, full, origin)
    return {"value": value, "line": line, **places.get(line, {})}


def relative(location: str, root: str, full: str, origin: str | None) -> str:
    """An absolute path inside the repository as the file itself would write it; any other is left for the check."""
    real = os.path.realpath(location)
    for top in filter(None, (root, origin)):
        inside = os.path.relpath(real, os.path.realpath(top))
        if not inside.startswith(".."):
            return os.path.relpath(os.path.join(root, inside), os.path.dirname(full))
    return location


def calls_in(full: str) -> dict[int, Any]:
    """The calls of the file by their line: the column, and where the value of each keyword is."""
    with open(full, "rb") as stream:
        tree = ast.parse(stream.read())
    found: dict[int, Any] = {}
    for node in ast.walk(tree):
        name = getattr(node, "func", None)
        if isinstance(node, ast.Call) and getattr(name, "attr", getattr(name, "id", "")) == "DeploymentSpec":
            keywords = {item.arg: [item.value.lineno, item.value.col_offset + 1] for item in node.keywords if item.arg}
            if "flow" in keywords:
                keywords.setdefault("flow_location", keywords["flow"])
            found[node.lineno] = {"column": node.col_offset + 1, "places": keywords}
    return found


def read_from(root: str, full: str, read: set[str]) -> list[str]:
    """The other files of the repository that were loaded."""
    top = os.path.join(os.path.realpath(root), "")
    loaded = {str(getattr(module, "__file__", None) or "/") for module in list(sys.modules.values())}
    files = {os.path.realpath(file) for file in loaded | read if os.path.isabs(file)}
    inside = (
        os.fsencode(file[len(top) :]).decode("utf-8", "surrogateescape")
        for file in files - {os.path.realpath(full)}
        if file.startswith(top)
    )
    return sorted(inside)


def line_of(error: BaseException, full: str) -> int:
    """The last line of the file itself that the error went through."""
    if isinstance(error, SyntaxError) and error.filename == full:
        return error.lineno or 1
    frames = [frame.lineno or 1 for frame in traceback.extract_tb(error.__traceback__) if frame.filename == full]
    frames = frames or [line for file, line in getattr(error, "places", ()) if file == full][:1]
    return frames[-1] if frames else 1


def message_of(error: BaseException) -> str:
    """The error on one printable line."""
    if isinstance(error, _LateError):
        return str(error)
    try:
        text = f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001
        text = type(error).__name__
    line = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text.partition("\n")[0])
    return line.removesuffix(": ")[:_MAX_MESSAGE]
