"""The package that user code imports: flows, tasks, their logger and context, and deployment specs in Python.

Users write `from controller import flow, task`; `controller/__init__.py` lists the public names and their modules.
These modules import the standard library only, and little of it at import time; they import nothing else from the
controller. Flows work in plain `python my_flow.py`. In a run of the controller, `event_writer` also reports the state
of each task run to the supervisor.

A call passes through `task` or `flow`, then `run_context` (the flow or task run and its parent), then `retries`
(retries and timeouts), and ends in the user's function. Submitted tasks use `futures` and `task_pool` as well. See
docs/flows.md.
"""
