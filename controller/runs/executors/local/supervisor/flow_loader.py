"""Loads the code of a flow: makes its folders importable, loads its file or module, and finds the flow in it.

Used by `flow_call` in the process of a flow, and by the process that executes a Python spec. It imports only the
standard library, and must not import anything else of the controller: it is loaded as a file, alone.

These are importable, after the standard library and before installed packages: the import paths of the deployment, the
root of the repository, and the folder of the flow. So a `json.py` next to a flow breaks nothing, and `import
controller` in a repository with its own `controller/` imports that one. In a Python environment, the copy of our SDK
comes last. `PYTHONPATH` passes the import paths and the SDK on to Python processes that the flow starts.
"""

from __future__ import annotations

import os
import sys
from _frozen_importlib import module_from_spec  # `importlib.util` without what it imports
from _frozen_importlib_external import (  # `importlib.machinery` is these, in a package that is slow to load
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    PathFinder,
    SourceFileLoader,
    SourcelessFileLoader,
    spec_from_file_location,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    import types
    from collections.abc import Callable, Sequence
    from typing import Any

_FUNCTION = type(lambda: None)


class FlowNotFoundError(Exception):
    """The file, the module or the flow in it does not exist, or the flow can't be called."""


class PlainFolder:
    """Finds modules in `controller/` folders without `__init__.py`, which our installed package would hide."""

    def __init__(self, folders: Sequence[str]) -> None:
        self._folders = folders

    def find_spec(self, name: str, path: Sequence[str] | None, target: Any = None) -> Any:  # noqa: ARG002
        """Find a module directly below `controller` in the folders."""
        is_direct = name.startswith("controller.") and name.count(".") == 1
        return PathFinder.find_spec(name, self._folders) if is_direct else None


class CachingLoader(SourceFileLoader):
    """Loads a source file, with its bytecode below `bytecode` and not next to the file.

    In a Python environment this replaces `sys.pycache_prefix`, which would hide the bytecode of all installed packages.
    Without a value in `bytecode` it is the loader of the standard library.
    """

    bytecode = ""

    def get_data(self, path: str) -> bytes:
        """Read a source file, or its bytecode. Raises OSError."""
        return super().get_data(self._place(path))

    def set_data(self, path: str, data: Any, **options: Any) -> None:
        """Write the bytecode."""
        super().set_data(self._place(path), data, **options)

    def _place(self, path: str) -> str:
        return f"{self.bytecode}{path}" if path.endswith(".pyc") else path


def load_target(call: dict[str, Any]) -> types.ModuleType:
    """Load the file or the module that `call` names. Raises FlowNotFoundError, and every error of the user's code."""
    root = decode_path(call["root"])
    import_paths = call.get("import_paths") or []
    folders = [os.path.normpath(os.path.join(root, decode_path(folder))) for folder in import_paths]
    path = os.path.join(root, decode_path(call["path"]))
    inherited = [*folders]
    if call.get("sdk") and append_sdk(sdk := decode_path(call["sdk"])):
        inherited.append(sdk)
    if inherited:
        os.environ["PYTHONPATH"] = os.pathsep.join(inherited)
    module = call.get("module")
    try:
        if module:
            make_importable(*folders, root)
            return import_target(module)
        make_importable(*folders, root, os.path.dirname(path))
        sys.argv = [path]
        return load_module(path, call["path"], import_paths)
    except SystemExit as error:
        message = f"{module or call['path']} called sys.exit({error.code!r}) during import; no flow was called."
        raise FlowNotFoundError(message) from None


def decode_path(path: str) -> str:
    """Return a path of the call, which is UTF-8, in the encoding of this interpreter's locale."""
    return os.fsdecode(path.encode("utf-8", "surrogateescape"))


def append_sdk(folder: str) -> bool:
    """Make our SDK importable in a Python environment. Return whether Python processes that the flow starts need it.

    They don't if a package `controller` is installed in the environment, which precedes ours.
    """
    is_installed = any(
        os.path.exists(os.path.join(entry, name)) for entry in sys.path for name in ("controller", "controller.py")
    )
    sys.path.append(folder)
    return not is_installed


def store_bytecode(bytecode: str, *folders: str) -> None:
    """Store the bytecode of the modules in these folders below `bytecode`, and that of other modules where they are."""
    CachingLoader.bytecode = bytecode
    make_finder = FileFinder.path_hook(
        (ExtensionFileLoader, EXTENSION_SUFFIXES),
        (CachingLoader, SOURCE_SUFFIXES),
        (SourcelessFileLoader, BYTECODE_SUFFIXES),
    )

    def find(path: str) -> Any:
        if not is_below(path, folders):
            raise ImportError(path)
        return make_finder(path)

    sys.path_hooks.insert(0, find)
    for path in [path for path in sys.path_importer_cache if is_below(path, folders)]:
        del sys.path_importer_cache[path]


def is_below(path: str, folders: tuple[str, ...]) -> bool:
    """Return whether the path is one of the folders or is in one of them."""
    return f"{path}/".startswith(tuple(f"{folder}/" for folder in folders))


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
            ours = __import__("controller")
        except ImportError:
            return
        ours.__path__.insert(0, folder)


def import_target(name: str) -> types.ModuleType:
    """Import the module of a flow. Raises FlowNotFoundError if it or a package that contains it does not exist."""
    try:
        __import__(name)  # unlike `importlib.import_module`, it leaves no frames of its own in a traceback
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        message = f"Module {name} was found neither in this revision nor in the Python environment."
        raise FlowNotFoundError(message) from None
    module = sys.modules[name]
    sys.argv = [getattr(module, "__file__", None) or name]
    return module


def load_module(path: str, name: str, import_paths: Sequence[str] = ()) -> types.ModuleType:
    """Execute the file as a module. Its name is derived from its path, so that its objects can be pickled.

    `name` is its path relative to the root. In one of the import paths, its name is the one that an import there has.
    """
    if not os.path.isfile(path):
        raise FlowNotFoundError(f"{name} does not exist in this revision.")
    dotted = importable_path(name, import_paths).removesuffix(".py").replace("/", ".")
    if dotted in sys.stdlib_module_names:
        dotted += "_"  # a flow in `queue.py` must not replace the module `queue` that others import
    loader = CachingLoader(dotted, path) if path.lower().endswith(".py") else None
    spec = spec_from_file_location(dotted, path, loader=loader)
    if spec is None or spec.loader is None:
        raise FlowNotFoundError(f"{name} is not a Python file.")
    module = module_from_spec(spec)
    sys.modules[dotted] = module
    spec.loader.exec_module(module)
    return module


def importable_path(name: str, import_paths: Sequence[str]) -> str:
    """Return the path of a file relative to the innermost import path that contains it, or unchanged."""
    prefixes = [f"{folder.rstrip('/')}/" for folder in import_paths]
    return name[max((len(prefix) for prefix in prefixes if name.startswith(prefix)), default=0) :]


def find_flow(module: types.ModuleType, name: str | None, place: str) -> Callable[..., Any]:
    """Return the flow with this function, variable or flow name; without a name, the only public flow of the module.

    `place` is the path or the name of the module, for messages.
    """
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
        if (isinstance(value, _FUNCTION) or is_flow(value))
        and value.__module__ == module.__name__
        and not key.startswith("_")
    ]
    own = [value for value in own if is_flow(value)] or own
    names = ", ".join(function.__name__ for function in own) or "none"
    if name is not None:
        raise FlowNotFoundError(f"{place} has no flow {name!r}; its functions: {names}.")
    if len(own) != 1:
        raise FlowNotFoundError(f"Set flow_name to choose a flow of {place}; its functions: {names}.")
    match = own[0]
    return match


def is_flow(value: Any) -> bool:
    """Return whether the value was made with `@flow`, ours or Prefect's."""
    kind = type(value)
    return kind.__name__ == "Flow" and kind.__module__.partition(".")[0] in ("controller", "prefect")
