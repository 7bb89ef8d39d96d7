"""Executes one Python spec, in a process that `sandbox` forks for it, and writes the declared deployments.

This file imports only the standard library, and lets the spec import what a flow could import (see `flow_loader`). The
specs that `controller.sdk.deployment_specs` registered become documents, each with the line of its call.
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
RETRY_SECONDS = 2.0
_MAX_MESSAGE = 300
_PATHS = ("root", "path", "origin")
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_FLOW_LOADER = os.path.join(_PACKAGE, "runs", "executors", "local", "supervisor", "flow_loader.py")


class _LateError(BaseException):
    """The time limit is exceeded. A BaseException, so that `except Exception` in the file does not catch it."""


def main(result: int, call: dict[str, Any]) -> None:
    """Execute the file and write the result to the descriptor `result`."""
    os.set_inheritable(result, False)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
    data = json.dumps(render_spec(*decode_paths(call), call["timeout"])).encode()
    if len(data) > MAX_RESULT_BYTES:
        message = f"the declared deployments exceed {MAX_RESULT_BYTES} bytes"
        data = json.dumps({"error": {"line": 1, "message": message}}).encode()
    os.write(result, data)


def decode_paths(call: dict[str, Any]) -> tuple[str, str, str | None]:
    """Return the paths of the call, which are UTF-8, in the encoding of this interpreter's locale."""
    root, path, origin = (os.fsdecode((call.get(key) or "").encode("utf-8", "surrogateescape")) for key in _PATHS)
    return root, path, origin or None


def render_spec(root: str, path: str, origin: str | None, timeout: float) -> dict[str, Any]:
    """Return the documents that the file declares, or its error, and the files of the repository that it loaded.

    `is_passing` marks an error that may disappear without any file changing, and that is cheap to check again.
    """
    began = time.monotonic()
    full = os.path.join(root, path)
    loaded = set[str]()
    sys.addaudithook(lambda event, details: record_file(event, details, loaded))
    try:
        call_with_timeout(timeout, lambda: execute(root, full, path))
        specs = sys.modules.get("controller.sdk.deployment_specs")
        registered = [] if specs is None else vars(specs)["registered"]
        calls = find_calls(full)
        result: dict[str, Any] = {"documents": [to_document(spec, root, full, origin, calls) for spec in registered]}
    except BaseException as error:  # noqa: BLE001 - any error is an error of the file
        result = {"error": {"line": line_of(error, full), "message": message_of(error)}}
        result["is_passing"] = isinstance(error, ImportError | OSError) and time.monotonic() - began < RETRY_SECONDS
    return {**result, "files": repository_files(root, full, loaded)}


def record_file(event: str, details: tuple[Any, ...], loaded: set[str]) -> None:
    """Add each file whose code is compiled or executed, even if that fails and it never becomes a module."""
    if event == "exec":
        loaded.add(str(getattr(details[0], "co_filename", "")))
    elif event == "compile" and isinstance(details[1], str):
        loaded.add(details[1])


def call_with_timeout(seconds: float, call: Callable[[], None]) -> None:
    """Call `call`, and raise an exception inside it after `seconds`, so that the traceback shows the line."""

    def end(*_: object) -> None:
        raise _LateError(f"timed out after {seconds:g} seconds")

    signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        call()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def execute(root: str, full: str, path: str) -> None:
    """Execute the file in the same way as the file of a flow."""
    spec = importlib.util.spec_from_file_location("_flow_loader", _FLOW_LOADER)
    assert spec is not None
    assert spec.loader is not None
    flow_loader = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(flow_loader)
    flow_loader.make_importable(root, os.path.dirname(full))
    sys.modules["__main__"] = types.ModuleType("__main__")
    sys.argv = [full]
    sys.dont_write_bytecode = True
    flow_loader.load_module(full, path)


def to_document(spec: Any, root: str, full: str, origin: str | None, calls: dict[int, Any]) -> dict[str, Any]:
    """Convert one spec to a document, with its line and column and the locations of its keywords."""
    line = next((number for file, number in spec.places if os.path.realpath(file) == os.path.realpath(full)), 1)
    value = spec.plain()
    location = value.get("flow_location")
    if isinstance(location, str) and os.path.isabs(location):
        value["flow_location"] = relative_location(location, root, full, origin)
    return {"value": value, "line": line, **calls.get(line, {})}


def relative_location(location: str, root: str, full: str, origin: str | None) -> str:
    """Make a path inside the repository relative to the file; leave other paths for validation to reject."""
    real = os.path.realpath(location)
    for top in filter(None, (root, origin)):
        inside = os.path.relpath(real, os.path.realpath(top))
        if not inside.startswith(".."):
            return os.path.relpath(os.path.join(root, inside), os.path.dirname(full))
    return location


def find_calls(full: str) -> dict[int, Any]:
    """Return the DeploymentSpec calls of the file by line: the column, and the location of each keyword's value."""
    with open(full, "rb") as stream:
        tree = ast.parse(stream.read())
    calls: dict[int, Any] = {}
    for node in ast.walk(tree):
        name = getattr(node, "func", None)
        if isinstance(node, ast.Call) and getattr(name, "attr", getattr(name, "id", "")) == "DeploymentSpec":
            keywords = {item.arg: [item.value.lineno, item.value.col_offset + 1] for item in node.keywords if item.arg}
            if "flow" in keywords:
                keywords.setdefault("flow_location", keywords["flow"])
            calls[node.lineno] = {"column": node.col_offset + 1, "places": keywords}
    return calls


def repository_files(root: str, full: str, loaded: set[str]) -> list[str]:
    """Return the other files of the repository that were loaded, relative to `root`."""
    top = os.path.join(os.path.realpath(root), "")
    modules = {str(getattr(module, "__file__", None) or "/") for module in list(sys.modules.values())}
    files = {os.path.realpath(file) for file in modules | loaded if os.path.isabs(file)}
    inside = (
        os.fsencode(file[len(top) :]).decode("utf-8", "surrogateescape")
        for file in files - {os.path.realpath(full)}
        if file.startswith(top)
    )
    return sorted(inside)


def line_of(error: BaseException, full: str) -> int:
    """Return the last line of the file in the traceback of the error."""
    if isinstance(error, SyntaxError) and error.filename == full:
        return error.lineno or 1
    frames = [frame.lineno or 1 for frame in traceback.extract_tb(error.__traceback__) if frame.filename == full]
    frames = frames or [line for file, line in getattr(error, "places", ()) if file == full][:1]
    return frames[-1] if frames else 1


def message_of(error: BaseException) -> str:
    """Return the error as one printable line."""
    if isinstance(error, _LateError):
        return str(error)
    try:
        text = f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001
        text = type(error).__name__
    line = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text.partition("\n")[0])
    return line.removesuffix(": ")[:_MAX_MESSAGE]
