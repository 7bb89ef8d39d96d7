"""The files of the runner's package, which every node fetches once per version.

    controller/…      the supervisor, the runner, and the SDK for flows that import nothing else
    sdk/controller/…  the copy of the SDK that flows import

Used by `remote.packages`, which makes the zip file.
"""

from pathlib import Path

import controller

_PACKAGE = Path(controller.__file__).parent
_FOLDERS = ("runs", "runs/executors", "runs/executors/local")
_SDK = ("__init__.py", "sdk/*.py")


def runner_files() -> dict[str, Path]:
    """Return the files by their names in the package."""
    own = [f"{folder}/__init__.py" for folder in _FOLDERS]
    own += ["runs/executors/local/supervisor/*.py", "runs/executors/node/*.py", *_SDK]
    files = {f"controller/{name}": path for name, path in _find(own)}
    files |= {f"sdk/controller/{name}": path for name, path in _find(_SDK)}
    return dict(sorted(files.items()))


def _find(patterns: "list[str] | tuple[str, ...]") -> list[tuple[str, Path]]:
    return [(str(path.relative_to(_PACKAGE)), path) for one in patterns for path in sorted(_PACKAGE.glob(one))]
