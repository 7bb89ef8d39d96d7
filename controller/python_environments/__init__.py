"""Builds the Python environments that deployments declare, with uv.

`environments` records requests and keeps a queue; `builder` builds one environment: `interpreters` finds the
interpreter, `locks` makes the lock, `builds` installs it. `uv` runs every command, and `failures` explains those that
fail. `app` creates `PythonEnvironments`; passes and the engine ask it for environments.

Importing this package does not import the store: commands that only need the settings of uv start faster.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from controller.python_environments.environments import PythonEnvironments as PythonEnvironments
else:

    def __getattr__(name: str) -> object:
        """Load `PythonEnvironments` when it is first used (PEP 562)."""
        if name != "PythonEnvironments":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from controller.python_environments.environments import PythonEnvironments

        return PythonEnvironments
