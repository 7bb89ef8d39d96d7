"""Prints what an interpreter is, as JSON: `python -I -S interpreter_probe.py [packages]`. Old Pythons can read it.

Started by `interpreters` with the interpreter in question. It imports only the standard library: -S keeps the code of
installed packages from being executed, so this file finds their folders itself.
"""

import json
import os
import platform
import site
import sys
import sysconfig


def markers() -> "dict[str, str]":
    """Return the values of the environment markers (PEP 508)."""
    full = "%d.%d.%d" % sys.version_info[:3]  # noqa: UP031
    return {
        "implementation_name": sys.implementation.name,
        "implementation_version": full,
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "platform_release": platform.release(),
        "platform_system": platform.system(),
        "platform_version": platform.version(),
        "python_full_version": platform.python_version(),
        "platform_python_implementation": platform.python_implementation(),
        "python_version": "%d.%d" % sys.version_info[:2],  # noqa: UP031
        "sys_platform": sys.platform,
    }


def package_folders() -> "list[str]":
    """Return the folders of installed packages: those of the virtual environment first, as `site` orders them."""
    base = [sys.base_prefix, sys.base_exec_prefix]
    parent = os.path.dirname(os.path.abspath(sys.executable))  # noqa: PTH100, PTH120
    for directory in (parent, os.path.dirname(parent)):  # noqa: PTH120
        configuration = os.path.join(directory, "pyvenv.cfg")  # noqa: PTH118
        if os.path.isfile(configuration):  # noqa: PTH113
            sys.prefix = sys.exec_prefix = os.path.dirname(parent)  # noqa: PTH120
            prefixes = [sys.prefix, *(base if sees_base(configuration) else [])]
            return site.getsitepackages(prefixes)
    return site.getsitepackages(base)


def sees_base(configuration: str) -> bool:
    """Return whether a virtual environment has the packages of its interpreter as well."""
    with open(configuration, encoding="utf-8") as stream:  # noqa: PTH123
        for line in stream:
            key, _, value = line.partition("=")
            if key.strip().lower() == "include-system-site-packages":
                return value.strip().lower() == "true"
    return True


def packages(folders: "list[str]") -> "dict[str, str]":
    """Return the versions of the packages in these folders by name."""
    try:
        from importlib.metadata import distributions
    except ImportError:
        return {}  # too old for flows
    installed = reversed(list(distributions(path=folders)))
    return {one.metadata["Name"]: one.version for one in installed if one.metadata["Name"]}


def main() -> None:
    """Print the answer."""
    folders = package_folders()
    answer = {
        "implementation": sys.implementation.name,
        "version": platform.python_version(),
        "platform": sysconfig.get_config_var("SOABI") or sysconfig.get_platform(),
        "markers": markers(),
        "folders": folders,
        "packages": packages(folders) if sys.argv[1:] == ["packages"] else {},
    }
    print(json.dumps(answer))  # noqa: T201


if __name__ == "__main__":
    main()
