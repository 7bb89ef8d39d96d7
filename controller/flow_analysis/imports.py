"""Which files of the repository does a Python file import? Read with `ast`, from the text alone.

`reconcile.changed_code` asks. An import names candidates, in the order in which Python looks for them; the caller finds
out which of them exist. See https://docs.python.org/3/reference/import.html.
"""

import ast
import sys
import warnings
from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Import(NamedTuple):
    """A module that is imported: `level` counts the leading dots, as in `ast.ImportFrom`."""

    module: str
    level: int = 0


def read_imports(content: bytes) -> frozenset[Import]:
    """Every import in the file, wherever it stands. Raises ValueError for a file that is not valid Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError("it is not valid Python") from error
    return frozenset(found for node in ast.walk(tree) for found in _imports(node))


def candidates(found: Import, file: str, folders: Iterable[str]) -> Iterator[list[str]]:
    """The files that the import in `file` may load, for each of the `folders` in which Python looks, in its order.

    Folders and files are relative to the repository root, with `/`; the root is empty. Those of a list are loaded
    together: the packages that the module is in, and the module.
    """
    if found.level:
        steps = file.split("/")
        if found.level <= len(steps):
            above = steps[: -found.level]
            yield (
                ["/".join((*above, "__init__.py")), *_files(above, found.module)] if above else _files([], found.module)
            )
        return
    if found.module.partition(".")[0] in sys.stdlib_module_names:
        return
    for folder in dict.fromkeys(folders):
        yield _files(folder.split("/") if folder else [], found.module)


def module_name(file: str) -> str:
    """The last part of the name under which other files import this one."""
    parts = file.removesuffix(".py").split("/")
    return parts[-2] if parts[-1] == "__init__" and len(parts) > 1 else parts[-1]


def _imports(node: ast.AST) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        yield from (Import(alias.name) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        module = node.module or ""
        yield Import(module, node.level)
        for alias in node.names:
            if alias.name != "*":  # what is imported from a package may be a module in it
                yield Import(f"{module}.{alias.name}" if module else alias.name, node.level)


def _files(above: list[str], module: str) -> list[str]:
    """The `__init__.py` of each package on the way to the module, and its own file."""
    steps = module.split(".") if module else []
    found = ["/".join((*above, *steps[:count], "__init__.py")) for count in range(1, len(steps) + 1)]
    if steps:
        found.append("/".join((*above, *steps)) + ".py")
    return found
