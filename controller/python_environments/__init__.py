"""Builds the Python environments that deployments declare, with uv.

`environments` records what is asked for and keeps a queue; `builder` builds one environment: `interpreters` finds the
interpreter, `locks` makes the lock, `builds` installs it. `uv` runs every command, and `failures` explains those that
fail. `app` creates `PythonEnvironments`; passes and the engine ask it for environments.
"""

from controller.python_environments.environments import PythonEnvironments

__all__ = ["PythonEnvironments"]
