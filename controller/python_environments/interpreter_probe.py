"""Prints what an interpreter is, as JSON: `python -I interpreter_probe.py [packages]`. Old Pythons can read it too.

Started by `interpreters` with the interpreter in question. It imports only the standard library.
"""

import json
import os
import platform
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


def packages() -> "dict[str, str]":
    """Return the versions of the installed packages by name."""
    try:
        from importlib.metadata import distributions
    except ImportError:
        return {}  # too old for flows
    return {one.metadata["Name"]: one.version for one in reversed(list(distributions())) if one.metadata["Name"]}


def main() -> None:
    """Print the answer."""
    paths = sysconfig.get_paths()
    answer = {
        "implementation": sys.implementation.name,
        "version": platform.python_version(),
        "platform": sysconfig.get_config_var("SOABI") or sysconfig.get_platform(),
        "markers": markers(),
        "folders": sorted({paths["purelib"], paths["platlib"]}),
        "packages": packages() if sys.argv[1:] == ["packages"] else {},
    }
    print(json.dumps(answer))  # noqa: T201


if __name__ == "__main__":
    main()
