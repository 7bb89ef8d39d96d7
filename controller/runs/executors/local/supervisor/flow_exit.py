"""The end of a flow's process, without the shutdown of the interpreter where that has no effect.

Used by `flow_call` and the fork server. It imports only the standard library, and must not import anything else of the
controller: it is loaded as a file, alone.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import types
    from collections.abc import Callable, Collection
    from typing import Any, NoReturn

_AT_SHUTDOWN = ("PYTHON", "LD_", "MALLOC_", "GLIBC_")
_NAMES = ("DONTWRITEBYTECODE", "HASHSEED", "IOENCODING", "NOUSERSITE", "PATH", "PYCACHEPREFIX", "UNBUFFERED", "UTF8")
_HARMLESS = frozenset(f"PYTHON{name}" for name in _NAMES)
"""Variables with no effect when an interpreter shuts down, unlike for example `PYTHONMALLOCSTATS`."""


def run_and_exit(run: Callable[[], Any], root: str, own: Any, preloaded: Collection[str] = ()) -> int:
    """Run the flow, then exit as an interpreter does. `own` is `flow_call.OwnModules`.

    A complete shutdown of the interpreter takes longer than a small flow. If only the standard library, `preloaded`
    packages and the flow's own files were loaded, it is enough to do the steps that have an effect: join threads, call
    atexit functions, and close what is open. Otherwise, return and let the interpreter do the whole shutdown.
    """
    before = len(sys.modules)
    code: Any = 1
    try:
        code = run()
    except SystemExit as error:
        code = error.code
    loaded = loaded_since(before, own, preloaded)
    if not all(is_below(sys.modules[name], root) for name in loaded):
        sys.exit(code)
    if "threading" in sys.modules:
        try:
            sys.modules["threading"]._shutdown()
        except own.stopping.RunStopped:
            sys.exit(code)
    if len(sys._current_frames()) > 1:
        sys.exit(code)  # daemon threads keep running until the interpreter has shut down
    atexit._run_exitfuncs()
    if code is not None and not isinstance(code, int):
        sys.stderr.write(f"{code}\n")
    for name in loaded:
        vars(sys.modules.pop(name)).clear()  # closes the objects that are closed when they are collected
    gc.collect(2 if gc.get_count()[2] else 1)  # the oldest generation is empty before its first collection
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue
    end_process(0 if code is None else code & 0xFF if isinstance(code, int) else 1, has_libraries=bool(preloaded))


def may_skip_shutdown() -> bool:
    """Return whether nothing that this new interpreter was started with has an effect when it shuts down."""
    if any(name.startswith(_AT_SHUTDOWN) and name not in _HARMLESS for name in os.environ):
        return False
    site = [name for name in sys.modules if not is_standard(name)]
    return all(is_below(sys.modules[name], "") for name in site)


def loaded_since(before: int, own: Any, preloaded: Collection[str]) -> list[str]:
    """Return the modules that were loaded when `before` others were, without ours and those that need no shutdown."""
    names: list[str] = []
    for name in reversed(sys.modules):
        # New modules are last. Iterating over all of them would copy every memory page that contains a module name.
        if len(names) >= len(sys.modules) - before:
            break
        names.append(name)
    return [
        name for name in names if not (is_standard(name) or is_ours(name, own) or name.partition(".")[0] in preloaded)
    ]


def end_process(code: int, *, has_libraries: bool) -> NoReturn:
    """End the process. C libraries may have functions to call at the exit, and output that is not written yet."""
    if has_libraries:
        sys.modules["ctypes"].PyDLL(None).exit(code)
    os._exit(code)


def is_standard(name: str) -> bool:
    """Return whether this module is the flow's program or one of the standard library."""
    return name == "__main__" or name.partition(".")[0] in sys.stdlib_module_names


def is_ours(name: str, own: Any) -> bool:
    """Return whether user code imported this module from our package; these modules need only the standard library."""
    if name == own.mark:
        return True
    is_sdk = name == "controller" or f"{name}.".startswith("controller.sdk.")
    return is_sdk and any(is_below(sys.modules[name], folder) for folder in own.folders)


def is_below(module: types.ModuleType, root: str) -> bool:
    """Return whether this is the module of a Python file below this folder."""
    file = getattr(module, "__file__", None)
    return isinstance(file, str) and file.startswith(f"{root}/") and file.endswith(".py")
