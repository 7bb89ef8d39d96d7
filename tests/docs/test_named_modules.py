"""Modules and files that docstrings and pages name exist, and the callers that they name do call."""

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

from controller.cli.main import cli
from tests.docs.pages import PAGES, ROOT

PACKAGE = ROOT / "controller"
FILES_OF_USERS = {"controller.yaml", "notify.yaml", "controller.log", "controller.lock"}
_CODE = re.compile(r"`([^`\n]+)`")
_NAMES = r"((?:`[\w.]+`(?:, and |, | and )?)+)"
_CALLED_BY = re.compile(rf"\b(?:[Cc]alled|[Uu]sed|[Rr]ead|[Aa]sked|[Mm]ade)(?: only)? by {_NAMES}")
_CALLS = re.compile(rf"{_NAMES} (?:(?:asks?|calls?|uses?)\b|reads? (?:it|these)\b)")


def module_name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(file): file for file in sorted(PACKAGE.rglob("*.py"))}


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


@cache
def docstrings() -> dict[str, list[str]]:
    """Return the docstrings of each module, of its classes and of its functions, with single spaces."""
    return {
        name: [
            re.sub(r"\s+", " ", text)
            for node in ast.walk(tree(name))
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and (text := ast.get_docstring(node))
        ]
        for name in MODULES
    }


def package_of(module: str) -> str:
    return module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]


def resolve(name: str, module: str) -> str | None:
    """Resolve a name in the docstring of `module`: in its own package first, then in the packages above."""
    package = package_of(module)
    while package:
        if (found := f"{package}.{name}") in MODULES:
            return found
        package = package.rpartition(".")[0]
    return name if name in MODULES else None


def exists(dotted: str) -> bool:
    """Whether this is a module of ours, or something that one defines."""
    parts = dotted.split(".")
    for end in range(len(parts), 0, -1):
        if (module := ".".join(parts[:end])) in MODULES:
            value: object = import_module(module) if end < len(parts) else None
            for part in parts[end:]:
                if not hasattr(value, part):
                    return False
                value = getattr(value, part)
            return True
    return False


def named(text: str) -> Iterator[str]:
    """Yield the dotted names and the paths of this repository in this text."""
    yield from re.findall(r"(?<![\w./-])controller(?:\.[a-z_]\w*)+(?![\w/-]|\.\w)", text)
    yield from re.findall(r"(?<![\w./-])(?:controller|tests|docs|schemas|benchmarks|requirements)/[\w/.-]*\w", text)


def is_there(name: str) -> bool:
    if "/" in name:
        return (ROOT / name).exists() or (name.startswith("docs/adr/") and any(ROOT.glob(f"{name}-*.md")))
    return name in FILES_OF_USERS or exists(name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_modules_and_files_named_in_pages_exist(page: Path) -> None:
    code = " ".join(_CODE.findall(page.read_text(encoding="utf-8")))
    assert [name for name in named(code) if not is_there(name)] == []


def test_modules_and_files_named_in_docstrings_exist() -> None:
    texts = [(module, text) for module, all_texts in docstrings().items() for text in all_texts]
    assert [(module, name) for module, text in texts for name in named(text) if not is_there(name)] == []


def test_dotted_names_in_docstrings_exist() -> None:
    tops = {name.split(".")[1] for name, file in MODULES.items() if file.name == "__init__.py" and "." in name}
    missing = []
    for module, texts in docstrings().items():
        if ".versions." in module:
            continue  # what they name are tables and columns
        for name in re.findall(r"`((?:[a-z_]+\.)+[A-Za-z_]\w*)[(`]", " ".join(texts)):
            above = f"{package_of(module)}.{name}"
            is_module = exists(f"controller.{name}") or exists(above)
            if name.split(".")[0] in tops and name not in FILES_OF_USERS and not is_module:
                missing.append((module, name))
    assert missing == []


def test_modules_named_in_package_docstrings_exist() -> None:
    known = set(cli.commands) | set(sys.stdlib_module_names)
    missing = []
    for module, file in MODULES.items():
        if file.name != "__init__.py":
            continue
        text = ast.get_docstring(tree(module)) or ""
        body = file.read_text(encoding="utf-8").replace(text, "")
        for name in re.findall(r"`([a-z_]+)`", text):
            if resolve(name, module) is None and name not in known and not re.search(rf"\b{name}\b", body):
                missing.append((module, name))
    assert missing == []


@cache
def imports(module: str) -> frozenset[str]:
    """Return the imports of a module; names that a package re-exports count for the module that defines them."""
    found: set[str] = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            names = {alias.name for alias in node.names}
            found |= {origin for name, origin in handed_on(node.module) if name in names}
            found |= {origin for name in names for _, origin in handed_on(f"{node.module}.{name}")}
    return frozenset(found)


@cache
def handed_on(package: str) -> frozenset[tuple[str, str]]:
    """Return the names that the `__init__` of a package re-exports; nothing for other modules."""
    if package not in MODULES or MODULES[package].name != "__init__.py":
        return frozenset()
    return frozenset(
        (alias.asname or alias.name, node.module)
        for node in tree(package).body
        if isinstance(node, ast.ImportFrom) and node.module is not None
        for alias in node.names
    )


def calls(caller: str, module: str) -> bool:
    """Whether the caller, or a module in it, imports this module or starts it by its name."""
    last = module.rpartition(".")[2]
    for name, file in MODULES.items():
        if name == caller or name.startswith(f"{caller}."):
            if any(one == module or one.startswith(f"{module}.") for one in imports(name)):
                return True
            if re.search(rf'["/.]{last}(?:\.py)?"', file.read_text(encoding="utf-8")):
                return True
    return False


def claims(pattern: re.Pattern[str]) -> list[tuple[str, str]]:
    """Each module, and a caller that its docstring names."""
    found = []
    for module in MODULES:
        text = re.sub(r"\s+", " ", ast.get_docstring(tree(module)) or "")
        for names in pattern.findall(text):
            callers = (resolve(name, module) for name in _CODE.findall(names))
            found += [(module, caller) for caller in callers if caller not in (None, module)]
    return found


def test_callers_named_in_docstrings_import_the_module() -> None:
    callers = claims(_CALLED_BY)
    assert len(callers) > 40
    assert [(module, caller) for module, caller in callers if not calls(caller, module)] == []


def test_modules_that_docstrings_relate_import_each_other() -> None:
    pairs = claims(_CALLS)
    assert len(pairs) > 40
    assert [(one, other) for one, other in pairs if not calls(other, one) and not calls(one, other)] == []
