"""The files of the repository that a Python file may import, read from its source with `ast`.

Called by `reconcile.changed_code`. Each import yields candidates, in the order in which Python searches for them; the
caller finds out which of them exist. See https://docs.python.org/3/reference/import.html.
"""

import ast
import sys
import warnings
from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Import(NamedTuple):
    """An imported module. `level` is the number of leading dots, as in `ast.ImportFrom`."""

    module: str
    level: int = 0


def read_imports(content: bytes) -> frozenset[Import]:
    """Return all imports of the file, also those inside functions. Raises ValueError if it is not valid Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError("it is not valid Python") from error
    return frozenset(imported for node in ast.walk(tree) for imported in _imports(node))


def candidates(imported: Import, file: str, folders: Iterable[str]) -> Iterator[list[str]]:
    """Yield the files that an import in `file` may load, one list for each of the `folders` that Python searches.

    Folders and files are relative to the repository root, with `/`; the root itself is the empty string. The files of
    one list are loaded together: the `__init__.py` of the packages around the module, and the module itself.
    """
    if imported.level:
        steps = file.split("/")
        if imported.level <= len(steps):
            package = steps[: -imported.level]
            files = _files(package, imported.module)
            yield ["/".join((*package, "__init__.py")), *files] if package else files
        return
    if imported.module.partition(".")[0] in sys.stdlib_module_names:
        return
    for folder in dict.fromkeys(folders):
        yield _files(folder.split("/") if folder else [], imported.module)


def module_paths(module: str, folders: Iterable[str]) -> list[str]:
    """Return the files that may define a dotted module, in the order in which Python searches the folders for them."""
    path = module.replace(".", "/")
    places = [f"{folder}/{path}" if folder else path for folder in dict.fromkeys(folders)]
    return [file for place in places for file in (f"{place}/__init__.py", f"{place}.py")]


def module_name(file: str) -> str:
    """Return the last part of the name under which other files import this one."""
    parts = file.removesuffix(".py").split("/")
    return parts[-2] if parts[-1] == "__init__" and len(parts) > 1 else parts[-1]


def _imports(node: ast.AST) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        yield from (Import(alias.name) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        module = node.module or ""
        yield Import(module, node.level)
        for alias in node.names:
            if alias.name != "*":  # a name that is imported from a package may be a module of it
                yield Import(f"{module}.{alias.name}" if module else alias.name, node.level)


def _files(folder: list[str], module: str) -> list[str]:
    """Return the `__init__.py` of each package around the module, and the file of the module."""
    steps = module.split(".") if module else []
    files = ["/".join((*folder, *steps[:count], "__init__.py")) for count in range(1, len(steps) + 1)]
    if steps:
        files.append("/".join((*folder, *steps)) + ".py")
    return files
