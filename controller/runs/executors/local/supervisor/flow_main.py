"""The process of a flow: loads the user's file and calls the flow with its parameters.

The supervisor starts this file as `python -P flow_main.py`, or calls `main` in a fork of a running interpreter
(`fork_server`). It imports only the standard library. Descriptor 3 contains the call as JSON (`root`, `path`, `name`,
`parameters`, `pycache`). JSON lines go back on descriptor 4: `{"result": …}`, `{"error": "…"}` or `{"skipped": "…"}` at
the end, and the events of `controller.sdk.event_writer`.

The root of the repository and the folder of the flow are importable, after the standard library and before installed
packages. So a `json.py` next to a flow breaks nothing, and `import controller` in a repository with its own
`controller/` imports that one.
"""

import importlib
import importlib.machinery
import importlib.util
import json
import os
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any

CALL_FD = 3
EVENTS_FD = 4
MAX_RESULT_BYTES = 8192
MAX_RESULT_DEPTH = 32
MAX_REASON_BYTES = 4096


COERCION = "controller.sdk.argument_coercion"
PACKAGE = os.path.abspath(os.path.join(os.path.dirname(__file__), *4 * [os.pardir]))
SKIP = ("controller.sdk.run_states", "Skip")
"""Module and name of the exception that says that there is nothing to do; our own copy of the class may be another."""
MARK = "_controller_run"
"""The module in which `controller.sdk.event_writer` finds the descriptor for task runs, if this is a run."""


class FlowNotFoundError(Exception):
    """The file or the flow in it does not exist, or the flow can't be called."""


class OwnModules:
    """Our own modules in the process of a flow, loaded once before its modules and hidden from `sys.modules`."""

    coerce: Any = None
    foreign: Any = None
    stopping: Any = None


class PlainFolder:
    """Finds modules in `controller/` folders without `__init__.py`, which our installed package would hide."""

    def __init__(self, folders: Sequence[str]) -> None:
        self._folders = folders

    def find_spec(self, name: str, path: Sequence[str] | None, target: Any = None) -> Any:  # noqa: ARG002
        """Find a module directly below `controller` in the folders."""
        is_direct = name.startswith("controller.") and name.count(".") == 1
        return importlib.machinery.PathFinder.find_spec(name, self._folders) if is_direct else None


def main() -> int:
    """Load the file, call the flow and report its result. Returns the exit code."""
    with os.fdopen(CALL_FD, encoding="utf-8") as stream:
        call = json.load(stream)
    os.set_inheritable(EVENTS_FD, False)
    if call["pycache"]:
        sys.pycache_prefix = decode_path(call["pycache"])
    mark = sys.modules[MARK] = types.ModuleType(MARK)
    vars(mark)["EVENTS_FD"] = EVENTS_FD
    # `python -P` ran this file as `__main__`; hide it from the flow.
    sys.modules["__main__"] = types.ModuleType("__main__")
    prepare_stop()
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
    root = decode_path(call["root"])
    path = os.path.join(root, decode_path(call["path"]))
    make_importable(root, os.path.dirname(path))
    sys.argv = [path]
    try:
        module = load_module(path, call["path"])
    except SystemExit as error:
        message = f"{call['path']} called sys.exit({error.code!r}) during import; no flow was called."
        raise FlowNotFoundError(message) from None
    flow = find_flow(module, call["name"], call["path"])
    result = call_flow(flow, call["parameters"])
    if isinstance(result, types.CoroutineType):
        import asyncio

        return asyncio.run(result)
    if isinstance(result, types.GeneratorType | types.AsyncGeneratorType):
        message = f"{call['path']}: the flow is a generator, so none of it ran; use return instead of yield."
        raise FlowNotFoundError(message)
    return result


def decode_path(path: str) -> str:
    """Return a path of the call, which is UTF-8, in the encoding of this interpreter's locale."""
    return os.fsdecode(path.encode("utf-8", "surrogateescape"))


def prepare() -> None:
    """Load our modules that check parameters and stop a flow. The fork server does this before it forks."""
    prepare_stop()
    if OwnModules.coerce is None:
        OwnModules.foreign, coercion = load_own("controller.sdk.prefect_flows", COERCION)
        OwnModules.coerce = coercion.coerce_call


def prepare_stop() -> None:
    """Load our module that stops a flow."""
    if OwnModules.stopping is None:
        [OwnModules.stopping] = load_own("controller.sdk.termination")


def load_own(*names: str) -> list[types.ModuleType]:
    """Load our own modules from the package of this file, and remove them from `sys.modules` again.

    The repository of a flow may contain a `controller` package of its own.
    """
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "controller"}
    package = sys.modules["controller"] = types.ModuleType("controller")
    package.__path__ = [PACKAGE]
    try:
        return [importlib.import_module(name) for name in names]
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
    if not is_foreign and not getattr(flow, "__annotations__", None):
        return flow(**parameters)
    prepare()
    if not is_foreign:
        return flow(**OwnModules.coerce(flow, (), parameters)[1])
    OwnModules.foreign.free()
    if getattr(flow, "should_validate_parameters", True):
        parameters = OwnModules.coerce(flow.fn, (), parameters)[1]
    return OwnModules.foreign.resolve_futures(flow.fn(**parameters))


def make_importable(*directories: str) -> None:
    """Insert these directories into sys.path, after the standard library and before installed packages."""
    first_installed = next(
        (index for index, entry in enumerate(sys.path) if "site-packages" in entry or "dist-packages" in entry),
        len(sys.path),
    )
    sys.path[first_installed:first_installed] = dict.fromkeys(directories)
    folders = [folder for directory in directories if os.path.isdir(folder := os.path.join(directory, "controller"))]
    if folders and not any(os.path.exists(os.path.join(folder, "__init__.py")) for folder in folders):
        sys.meta_path.insert(0, PlainFolder(folders))
    for directory in directories:
        extend_own_package(os.path.join(directory, "controller"))


def extend_own_package(folder: str) -> None:
    """Make modules in the user's folder `controller` importable although our installed package has the same name."""
    if os.path.isdir(folder) and not os.path.exists(os.path.join(folder, "__init__.py")):
        try:
            ours = importlib.import_module("controller")
        except ImportError:
            return
        ours.__path__.insert(0, folder)


def load_module(path: str, name: str) -> types.ModuleType:
    """Execute the file as a module. Its name is derived from its path, so that its objects can be pickled."""
    if not os.path.isfile(path):
        raise FlowNotFoundError(f"{name} does not exist in this revision.")
    dotted = name.removesuffix(".py").replace("/", ".")
    if dotted in sys.stdlib_module_names:
        dotted += "_"  # a flow in `queue.py` must not replace the module `queue` that others import
    loader = importlib.machinery.SourceFileLoader(dotted, path) if path.lower().endswith(".py") else None
    spec = importlib.util.spec_from_file_location(dotted, path, loader=loader)
    if spec is None or spec.loader is None:
        raise FlowNotFoundError(f"{name} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[dotted] = module
    spec.loader.exec_module(module)
    return module


def find_flow(module: types.ModuleType, name: str | None, path: str) -> Callable[..., Any]:
    """Return the flow with this function, variable or flow name; without a name, the only public flow of the module."""
    match: Callable[..., Any]
    if name is not None:
        flow = getattr(module, name, None)
        if callable(flow):
            match = flow
            return match
    flows = [value for value in vars(module).values() if is_flow(value)]
    titled = [flow for flow in flows if name is not None and flow.name == name]
    if titled:
        match = titled[0]
        return match
    own = [
        value
        for key, value in vars(module).items()
        if (isinstance(value, types.FunctionType) or is_flow(value))
        and value.__module__ == module.__name__
        and not key.startswith("_")
    ]
    own = [value for value in own if is_flow(value)] or own
    names = ", ".join(function.__name__ for function in own) or "none"
    if name is not None:
        raise FlowNotFoundError(f"{path} has no flow {name!r}; its functions: {names}.")
    if len(own) != 1:
        raise FlowNotFoundError(f"Set flow_name to choose a flow of {path}; its functions: {names}.")
    match = own[0]
    return match


def is_flow(value: Any) -> bool:
    """Return whether the value was made with `@flow`, ours or Prefect's."""
    kind = type(value)
    return kind.__name__ == "Flow" and kind.__module__.partition(".")[0] in ("controller", "prefect")


def report(event: dict[str, Any]) -> None:
    """Send an event to the supervisor. Ignore errors: it may be gone, or its pipe full, and the flow must not fail."""
    try:
        os.write(EVENTS_FD, json.dumps(event).encode() + b"\n")
    except OSError:
        return


def preview(value: Any) -> Any:
    """Return the value if it is JSON and neither too large nor too deep, otherwise the beginning of its text."""
    try:
        text = json.dumps(value, allow_nan=False)
        if len(text) <= MAX_RESULT_BYTES and not is_deeper(json.loads(text), MAX_RESULT_DEPTH):
            return value
    except Exception:  # noqa: BLE001 - methods of the user's value can raise anything
        text = safe_repr(value)
    return text if len(text) <= MAX_RESULT_BYTES else text[:MAX_RESULT_BYTES] + "…"


def is_deeper(value: Any, levels: int) -> bool:
    """Return whether this JSON value has more than `levels` levels of nesting."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels < 0 or any(is_deeper(item, levels - 1) for item in inner)


def safe_repr(value: Any) -> str:
    """Return the repr of any value, even if its method raises."""
    try:
        return repr(value)
    except Exception:  # noqa: BLE001
        return f"<{type(value).__name__}, whose repr failed>"


def needs_no_traceback(error: BaseException) -> bool:
    """Return whether the message is sufficient, because no code of the user was running."""
    if type(error).__module__ != COERCION:
        return isinstance(error, FlowNotFoundError)
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(f"{PACKAGE}/"):
        frames = frames.tb_next
    return frames is None


def format_error(error: BaseException) -> str:
    """Return the traceback, from the first frame of the user's code."""
    if needs_no_traceback(error):
        return f"{error}\n"
    import traceback

    OwnModules.stopping.forget_stop(error)
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    return "".join(traceback.format_exception(type(error), error, frames))


def find_skip(error: BaseException) -> BaseException | None:
    """Return the Skip that an error consists of: itself, or the first one in a group of nothing else."""
    if isinstance(error, BaseExceptionGroup):
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


if __name__ == "__main__":
    sys.exit(main())
