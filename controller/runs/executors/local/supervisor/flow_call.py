"""The process of a flow: loads the user's file and calls the flow with its parameters.

`flow_main` calls `run_program` in a new interpreter, and the fork server calls `main` in a fork of a running one. It
imports only the standard library, and little of it: a new interpreter pays for each module. A flow that imports
`typing` or `json` pays for them itself. JSON lines go back on descriptor 4: `{"result": …}`, `{"error": "…"}` or
`{"skipped": "…"}` at the end, and the events of `controller.sdk.event_writer`.

The call contains `root`, `path` or `module`, `name`, `import_paths`, `parameters` and `pycache`. A new interpreter
reads it from descriptor 3, in the format of `marshal`, which needs no module.

It may run in another interpreter than the controller's, with its own packages: a Python environment. Then the call
contains `sdk`, the folder with the copy of our SDK.
"""

from __future__ import annotations

import _json
import marshal
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import types
    from typing import Any

CALL_FD = 3
EVENTS_FD = 4
MAX_RESULT_BYTES = 8192
MAX_RESULT_DEPTH = 32
MAX_REASON_BYTES = 4096


_MODULE = type(sys)
LOADER = "controller.flow_loader"
"""The module `flow_loader` next to this file, as `load_own` finds it."""
LOGGING = "controller.flow_logging"
EXIT = "controller.flow_exit"
FITTING = "controller.argument_fitting"
COERCION = "controller.sdk.argument_coercion"
PACKAGE = os.path.abspath(os.path.join(os.path.dirname(__file__), *4 * [os.pardir]))
SKIP = ("controller.sdk.run_states", "Skip")
"""Module and name of the exception that says that there is nothing to do; our own copy of the class may be another."""
MARK = "_controller_run"
"""The module in which `controller.sdk.event_writer` finds the descriptor for task runs, if this is a run."""


class OwnModules:
    """Our own modules in the process of a flow, loaded once before its modules and hidden from `sys.modules`."""

    folders: tuple[str, ...] = (PACKAGE,)
    """Where they and the SDK of the flow are: our package, and in a Python environment also the copy of the SDK."""
    root: str = ""
    """The folder of the flow's repository at its commit."""
    mark = MARK
    coerce: Any = None
    exit: Any = None
    fits: Any = None
    foreign: Any = None
    loader: Any = None
    logging: Any = None
    stopping: Any = None


def run_program() -> int:
    """Read the call, run the flow, and end the process. Returns the exit code if the interpreter must shut down."""
    with open(CALL_FD, "rb") as stream:
        call = marshal.load(stream)
    prepare_bytecode(call)
    if not OwnModules.exit.may_skip_shutdown():
        return run_and_report(call)
    code: int = OwnModules.exit.run_and_exit(lambda: run_and_report(call), OwnModules.root, OwnModules)
    return code


def main(call: dict[str, Any]) -> int:
    """Run the flow in a fork. Returns the exit code."""
    prepare_bytecode(call)
    return run_and_report(call)


def run_and_report(call: dict[str, Any]) -> int:
    """Load the file, call the flow and report its result. Returns the exit code."""
    os.set_inheritable(EVENTS_FD, False)
    mark = sys.modules[MARK] = _MODULE(MARK)
    vars(mark)["EVENTS_FD"] = EVENTS_FD
    # Hide the program of this process from the flow.
    sys.modules["__main__"] = _MODULE("__main__")
    prepare_stop()
    OwnModules.logging.install()
    stop = OwnModules.stopping.Stop(mark)
    stop.install(is_interactive=call.get("is_interactive", False))
    try:
        result = run_flow(call)
        stop.is_over = True
    except BaseException as error:  # noqa: BLE001
        stop.is_over = True
        return report_failure(error, stop)
    report({"result": preview(result)})
    return 0


def report_failure(error: BaseException, stop: Any) -> int:
    """Report the error, skip or signal that ended the flow. Returns the exit code; re-raises SystemExit."""
    if stop.has_raised(error):
        report({"error": stop.reason})
        return 128 + int(stop.number)
    if (skip := find_skip(error)) is not None:
        report({"skipped": skip_reason(skip)})
        return 0
    if isinstance(error, SystemExit):
        if isinstance(error.code, str):
            report({"error": error.code})
        elif not error.code:
            report({"result": None})
        raise error
    if isinstance(error, MemoryError):
        os.write(EVENTS_FD, b'{"error": "MemoryError"}\n')  # first, with few allocations: memory may be exhausted
        sys.stderr.write(format_error(error))
        return 1
    sys.stderr.write(format_error(error))
    report({"error": summary(error)})
    return 1


def run_flow(call: dict[str, Any]) -> Any:
    """Call the flow and return its result; a coroutine is run to completion."""
    place = call.get("module") or call["path"]
    loader = OwnModules.loader
    flow = loader.find_flow(loader.load_target(call), call["name"], place)
    result = call_flow(flow, call["parameters"])
    if result is None:
        return None
    import types

    if isinstance(result, types.CoroutineType):
        import asyncio

        return asyncio.run(result)
    if isinstance(result, types.GeneratorType | types.AsyncGeneratorType):
        message = f"{place}: the flow is a generator, so none of it ran; use return instead of yield."
        raise loader.FlowNotFoundError(message)
    return result


def prepare_bytecode(call: dict[str, Any]) -> None:
    """Choose where bytecode is stored, and load our module that loads flows."""
    folder, sdk = call["pycache"], call.get("sdk")
    if folder and not sdk:
        sys.pycache_prefix = os.fsdecode(folder.encode("utf-8", "surrogateescape"))
    prepare_loader()
    decode = OwnModules.loader.decode_path
    OwnModules.root = decode(call["root"])
    if sdk:
        OwnModules.folders = (PACKAGE, f"{decode(sdk)}/controller")
    if folder and sdk:
        OwnModules.loader.store_bytecode(decode(folder), OwnModules.root, *OwnModules.folders)


def prepare() -> None:
    """Load all that a flow may need of ours. The fork server does this before it forks."""
    prepare_loader()
    prepare_stop()
    if OwnModules.coerce is None:
        OwnModules.foreign, coercion = load_own("controller.sdk.prefect_flows", COERCION)
        OwnModules.coerce = coercion.coerce_call
    if OwnModules.fits is None:
        OwnModules.fits = load_own(FITTING)[0].all_fit


def prepare_loader() -> None:
    """Load our modules that load flows and prepare `logging`."""
    if OwnModules.loader is None:
        OwnModules.loader, OwnModules.logging, OwnModules.exit = load_own(LOADER, LOGGING, EXIT)


def prepare_stop() -> None:
    """Load our module that stops a flow."""
    if OwnModules.stopping is None:
        [OwnModules.stopping] = load_own("controller.sdk.termination")


def load_own(*names: str) -> list[types.ModuleType]:
    """Load our own modules from the package of this file, and remove them from `sys.modules` again.

    The repository of a flow may contain a `controller` package of its own.
    """
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "controller"}
    package = sys.modules["controller"] = _MODULE("controller")
    package.__path__ = [PACKAGE, os.path.dirname(__file__)]
    try:
        for name in names:
            __import__(name)
        return [sys.modules[name] for name in names]
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "controller"]:
            del sys.modules[name]
        sys.modules.update(before)


def call_flow(flow: Any, parameters: dict[str, Any]) -> Any:
    """Call the flow. One made with our `@flow` checks its parameters itself; a Prefect flow runs without a server."""
    kind = type(flow).__module__
    if kind == "controller.sdk.flow":
        return flow(**parameters)
    is_foreign = kind.partition(".")[0] == "prefect" and hasattr(flow, "fn")
    if not is_foreign and not has_annotations(flow):
        return flow(**parameters)
    if not is_foreign:
        if OwnModules.fits is None:
            OwnModules.fits = load_own(FITTING)[0].all_fit
        if OwnModules.fits(flow, parameters):
            return flow(**parameters)
    prepare()
    if not is_foreign:
        return flow(**OwnModules.coerce(flow, (), parameters)[1])
    OwnModules.foreign.free()
    if getattr(flow, "should_validate_parameters", True):
        parameters = OwnModules.coerce(flow.fn, (), parameters)[1]
    return OwnModules.foreign.resolve_futures(flow.fn(**parameters))


def has_annotations(function: Any) -> bool:
    """Return whether the function has type hints. Python 3.14 evaluates them here (PEP 649)."""
    try:
        return bool(getattr(function, "__annotations__", None))
    except NameError:  # a name that is imported for type checkers only
        return True


def report(event: dict[str, Any]) -> None:
    """Send an event to the supervisor. Ignore errors: it may be gone, or its pipe full, and the flow must not fail."""
    try:
        os.write(EVENTS_FD, encode(event).encode() + b"\n")
    except OSError:
        return


def preview(value: Any) -> Any:
    """Return the value if it is JSON and neither too large nor too deep, otherwise the beginning of its text."""
    try:
        text = encode(value)
        if len(text) <= MAX_RESULT_BYTES and depth(text) <= MAX_RESULT_DEPTH:
            return value
    except Exception:  # noqa: BLE001 - methods of the user's value can raise anything
        text = safe_repr(value)
    return text if len(text) <= MAX_RESULT_BYTES else text[:MAX_RESULT_BYTES] + "…"


def encode(value: Any) -> str:
    """Return a value as `json.dumps` does, which takes a new interpreter half of its start to load."""
    encoder = _json.make_encoder({}, refuse, _json.encode_basestring_ascii, None, ": ", ", ", False, False, False)
    return "".join(encoder(value, 0))


def refuse(value: Any) -> None:
    """Report that a value is not JSON. Always raises TypeError."""
    raise TypeError(f"{type(value).__name__} is not JSON")


def depth(text: str) -> int:
    """Return the number of levels of nesting in this JSON."""
    outside = "".join(text.replace("\\\\", "").replace('\\"', "").split('"')[::2])
    level = deepest = 0
    for char in outside:
        level += (char in "[{") - (char in "]}")
        deepest = max(deepest, level)
    return deepest


def safe_repr(value: Any) -> str:
    """Return the repr of any value, even if its method raises."""
    try:
        return repr(value)
    except Exception:  # noqa: BLE001
        return f"<{type(value).__name__}, whose repr failed>"


def needs_no_traceback(error: BaseException) -> bool:
    """Return whether the message is sufficient, because no code of the user was running."""
    if type(error).__module__ != COERCION:
        return isinstance(error, OwnModules.loader.FlowNotFoundError)
    frames = error.__traceback__
    while frames is not None and is_own(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    return frames is None


def is_own(file: str) -> bool:
    """Return whether a source file is one of ours, rather than the user's or a library's."""
    return file.startswith(tuple(f"{folder}/" for folder in OwnModules.folders))


def format_error(error: BaseException) -> str:
    """Return the traceback: paths in the repository are relative, and frames of our modules are left out."""
    if needs_no_traceback(error):
        return f"{error}\n"
    import traceback

    OwnModules.stopping.forget_stop(error)
    exception = traceback.TracebackException.from_exception(error)
    waiting = [exception]
    while waiting:
        current = waiting.pop()
        current.stack[:] = [frame for frame in current.stack if not is_own(frame.filename)] or current.stack
        for place in (*current.stack, current):  # a SyntaxError has a file name itself
            if getattr(place, "filename", None):
                place.filename = place.filename.removeprefix(f"{OwnModules.root}/")
        members = getattr(current, "exceptions", None) or ()  # of an exception group; Python 3.10 has none
        waiting += [part for part in (current.__cause__, current.__context__, *members) if part is not None]
    return "".join(exception.format())


def find_skip(error: BaseException) -> BaseException | None:
    """Return the Skip that an error consists of: itself, or the first one in a group of nothing else."""
    if hasattr(error, "exceptions") and hasattr(error, "subgroup"):
        skips = [find_skip(item) for item in error.exceptions]
        return None if None in skips else skips[0]
    is_skip = any((kind.__module__, kind.__name__) == SKIP for kind in type(error).__mro__)
    return error if is_skip else None


def skip_reason(skip: BaseException) -> str | None:
    """Return the reason, at most 4 KiB of it; None if there is none."""
    try:
        reason = str(skip).strip()
    except Exception:  # noqa: BLE001 - methods of the user's error can raise anything
        return None
    data = reason.encode("utf-8", "backslashreplace")
    if len(data) > MAX_REASON_BYTES:
        reason = data[: MAX_REASON_BYTES - len("…".encode())].decode("utf-8", "ignore") + "…"
    return reason or None


def shorten(text: str) -> str:
    """Return at most 1,000 characters of the text."""
    return text if len(text) <= 1000 else text[:1000] + "…"


def summary(error: BaseException) -> str:
    """Return the error as one line."""
    if needs_no_traceback(error):
        return str(error)
    try:
        text = f"{type(error).__name__}: {error}".splitlines()[0].removesuffix(": ")
    except Exception:  # noqa: BLE001 - methods of the user's error can raise anything
        text = type(error).__name__
    return shorten(text)
