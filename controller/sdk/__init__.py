"""What user code imports: flows, tasks, their logger and context, and the specs of deployments in Python.

`from controller import flow, task`: `controller/__init__.py` names what is public and where it is. The standard library
only, and little of that at import; nothing of the controller. It works in plain `python my_flow.py`; in a run of a
controller, and only there, `event_writer` tells the supervisor what becomes of each task.

The way of a call: `task` or `flow` -> `run_context` (which run is this, below which) -> `retries` (retries, timeouts)
-> the function; `futures` and `task_pool` for what is submitted. See docs/flows.md.
"""
