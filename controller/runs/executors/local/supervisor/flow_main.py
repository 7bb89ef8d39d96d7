"""The flow's own process: loads the user's file, calls the flow with its parameters. One file that stands alone.

Started by the supervisor as `python -P flow_process.py`, or called in a fork of a running interpreter (`fork_server`).
Descriptor 3 holds the call as JSON (`root`, `path`, `name`, `parameters`, `pycache`); lines of JSON go back on
descriptor 4: `{"result": …}` or `{"error": "…"}` at the end, and what `controller.sdk.event_writer` has to say.

The repository's root and the flow's folder are importable, after the standard library and before installed
packages: a `json.py` beside a flow breaks nothing, and a repository's own `controller/` is the flow's, not ours.
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


COERCION = "controller.sdk.argument_coercion"
PACKAGE = os.path.abspath(os.path.join(os.path.dirname(__file__), *4 * [os.pardir]))
MARK = "_controller_run"
"""Where `controller.sdk.event_writer` looks whether somebody is told of task runs."""


class FlowNotFoundError(Exception):
    """The file is there, but the flow is not in it."""


class Parts:
    """What is ours in a flow's process, and unknown to it: loaded once, before the flow's own modules."""

    coerce: Any = None
    foreign: Any = None
    stopping: Any = None


class PlainFolder:
    """Finds modules in folders `controller/` without `__init__.py`: Python itself sees only our installed package."""

    def __init__(self, folders: Sequence[str]) -> None:
        self._folders = folders

    def find_spec(self, name: str, path: Sequence[str] | None, target: Any = None) -> Any:  # noqa: ARG002
        """The module of this name directly below `controller`, if the folders have it."""
        is_direct = name.startswith("controller.") and name.count(".") == 1
        return importlib.machinery.PathFinder.find_spec(name, self._folders) if is_direct else None


def main() -> int:
    """Load, call, report. Returns the exit code."""
    with os.fdopen(CALL_FD, encoding="utf-8") as stream:
        call = json.load(stream)
    os.set_inheritable(EVENTS_FD, False)
    if call["pycache"]:
        sys.pycache_prefix = native(call["pycache"])
    mark = sys.modules[MARK] = types.ModuleType(MARK)
    vars(mark)["EVENTS_FD"] = EVENTS_FD
    # `python -P` started this very file: what it put in sys.modules is not the flow's business.
    sys.modules["__main__"] = types.ModuleType("__main__")
    prepare_stop()
    stop = Parts.stopping.Stop(mark)
    stop.install(is_interactive=call.get("is_interactive", False))
    try:
        result = run(call)
        stop.is_over = True
    except BaseException as error:  # noqa: BLE001
        stop.is_over = True
        return failed(error, stop)
    report({"result": preview(result)})
    return 0


def failed(error: BaseException, stop: Any) -> int:
    """Report an error, or what else has ended the flow. Returns the exit code; raises SystemExit again."""
    if stop.has_raised(error):
        report({"error": stop.reason})
        return 128 + int(stop.number)
    if isinstance(error, SystemExit):
        if isinstance(error.code, str):
            report({"error": error.code})
        elif not error.code:
            report({"result": None})
        raise error
    if isinstance(error, MemoryError):
        os.write(EVENTS_FD, b'{"error": "MemoryError"}\n')  # first, and without asking for much: there may be none
        sys.stderr.write(explanation(error))
        return 1
    sys.stderr.write(explanation(error))
    report({"error": summary(error)})
    return 1


def run(call: dict[str, Any]) -> Any:
    """Call the flow and return what it returns; a coroutine is run to its end."""
    root = native(call["root"])
    path = os.path.join(root, native(call["path"]))
    make_importable(root, os.path.dirname(path))
    sys.argv = [path]
    try:
        module = load(path, call["path"])
    except SystemExit as error:
        said = f"{call['path']} called sys.exit({error.code!r}) as it was imported: no flow was called."
        raise FlowNotFoundError(said) from None
    flow = find(module, call["name"], call["path"])
    result = invoke(flow, call["parameters"])
    if isinstance(result, types.CoroutineType):
        import asyncio

        return asyncio.run(result)
    if isinstance(result, types.GeneratorType | types.AsyncGeneratorType):
        raise FlowNotFoundError(f"{call['path']}: the flow is a generator, of which nothing ran; return, do not yield.")
    return result


def native(path: str) -> str:
    """A path of the call, which is UTF-8, as this interpreter's locale spells it."""
    return os.fsdecode(path.encode("utf-8", "surrogateescape"))


def prepare() -> None:
    """Load what checks parameters and what stops a flow. A fork server does this before it forks."""
    prepare_stop()
    if Parts.coerce is None:
        Parts.foreign, coercion = load_own("controller.sdk.prefect_flows", COERCION)
        Parts.coerce = coercion.coerce_call


def prepare_stop() -> None:
    """Load what stops a flow."""
    if Parts.stopping is None:
        [Parts.stopping] = load_own("controller.sdk.termination")


def load_own(*names: str) -> list[types.ModuleType]:
    """Load modules of ours, found where this file is and nowhere else, and leave no trace.

    A flow may have a `controller` of its own.
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


def invoke(flow: Any, parameters: dict[str, Any]) -> Any:
    """Call it. What is made with our `@flow` checks its own parameters; a flow of Prefect runs without its server."""
    kind = type(flow).__module__
    if kind == "controller.sdk.flow":
        return flow(**parameters)
    is_foreign = kind.partition(".")[0] == "prefect" and hasattr(flow, "fn")
    if not is_foreign and not getattr(flow, "__annotations__", None):
        return flow(**parameters)
    prepare()
    if not is_foreign:
        return flow(**Parts.coerce(flow, (), parameters)[1])
    Parts.foreign.free()
    if getattr(flow, "should_validate_parameters", True):
        parameters = Parts.coerce(flow.fn, (), parameters)[1]
    return Parts.foreign.returned(flow.fn(**parameters))


def make_importable(*directories: str) -> None:
    """Put these on the module path, after the standard library and before installed packages."""
    first_installed = next(
        (index for index, entry in enumerate(sys.path) if "site-packages" in entry or "dist-packages" in entry),
        len(sys.path),
    )
    sys.path[first_installed:first_installed] = dict.fromkeys(directories)
    folders = [folder for place in directories if os.path.isdir(folder := os.path.join(place, "controller"))]
    if folders and not any(os.path.exists(os.path.join(folder, "__init__.py")) for folder in folders):
        sys.meta_path.insert(0, PlainFolder(folders))
    for directory in directories:
        share_our_name(os.path.join(directory, "controller"))


def share_our_name(folder: str) -> None:
    """Let modules of the user's own folder `controller` be found though it is no package and ours, installed, is."""
    if os.path.isdir(folder) and not os.path.exists(os.path.join(folder, "__init__.py")):
        try:
            ours = importlib.import_module("controller")
        except ImportError:
            return
        ours.__path__.insert(0, folder)


def load(path: str, name: str) -> types.ModuleType:
    """Execute the file as a module, named by its path so that what it defines can be pickled."""
    if not os.path.isfile(path):
        raise FlowNotFoundError(f"There is no file {name} in this revision.")
    dotted = name.removesuffix(".py").replace("/", ".")
    if dotted in sys.stdlib_module_names:
        dotted += "_"  # a flow in `queue.py` is not the `queue` that others import
    loader = importlib.machinery.SourceFileLoader(dotted, path) if path.lower().endswith(".py") else None
    spec = importlib.util.spec_from_file_location(dotted, path, loader=loader)
    if spec is None or spec.loader is None:
        raise FlowNotFoundError(f"{name} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[dotted] = module
    spec.loader.exec_module(module)
    return module


def find(module: types.ModuleType, name: str | None, path: str) -> Callable[..., Any]:
    """The flow of this name: of a function, a variable, or that it gives itself. Without one, the only public flow."""
    found: Callable[..., Any]
    if name is not None:
        flow = getattr(module, name, None)
        if callable(flow):
            found = flow
            return found
    flows = [value for value in vars(module).values() if is_flow(value)]
    titled = [flow for flow in flows if name is not None and flow.name == name]
    if titled:
        found = titled[0]
        return found
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
        raise FlowNotFoundError(f"Say which flow of {path} is meant with flow_name; its functions: {names}.")
    found = own[0]
    return found


def is_flow(value: Any) -> bool:
    """Whether it was made with `@flow`, ours or Prefect's."""
    kind = type(value)
    return kind.__name__ == "Flow" and kind.__module__.partition(".")[0] in ("controller", "prefect")


def report(event: dict[str, Any]) -> None:
    """Tell the supervisor. It may be gone, or its pipe full; the flow's verdict does not hang on it."""
    try:
        os.write(EVENTS_FD, json.dumps(event).encode() + b"\n")
    except OSError:
        return


def preview(value: Any) -> Any:
    """The value itself if it is JSON and neither large nor deep, else the beginning of its text."""
    try:
        text = json.dumps(value, allow_nan=False)
        if len(text) <= MAX_RESULT_BYTES and not is_deeper(json.loads(text), MAX_RESULT_DEPTH):
            return value
    except Exception:  # noqa: BLE001 - the value is the user's, and so is what it does when it is looked at
        text = spelled(value)
    return text if len(text) <= MAX_RESULT_BYTES else text[:MAX_RESULT_BYTES] + "…"


def is_deeper(value: Any, levels: int) -> bool:
    """Whether this JSON value is nested deeper than so many levels."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels < 0 or any(is_deeper(item, levels - 1) for item in inner)


def spelled(value: Any) -> str:
    """The text of any value, whatever it does when it is asked for it."""
    try:
        return repr(value)
    except Exception:  # noqa: BLE001
        return f"<{type(value).__name__}, whose text can't be had>"


def is_plain(error: BaseException) -> bool:
    """Whether its text says everything: nothing of the user's was begun, so that there is no place in it to show."""
    if type(error).__module__ != COERCION:
        return isinstance(error, FlowNotFoundError)
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(f"{PACKAGE}/"):
        frames = frames.tb_next
    return frames is None


def explanation(error: BaseException) -> str:
    """The traceback, from the user's first frame on."""
    if is_plain(error):
        return f"{error}\n"
    import traceback

    Parts.stopping.forget_stop(error)
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    return "".join(traceback.format_exception(type(error), error, frames))


def summary(error: BaseException) -> str:
    """The error in one line."""
    if is_plain(error):
        return str(error)
    try:
        text = f"{type(error).__name__}: {error}".splitlines()[0].removesuffix(": ")
    except Exception:  # noqa: BLE001 - the error is the user's, and so is what it says
        text = type(error).__name__
    return text if len(text) <= 1000 else text[:1000] + "…"


if __name__ == "__main__":
    sys.exit(main())
