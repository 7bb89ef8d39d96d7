"""Everything about a run from its due time to its outcome: admission, queue, launch, supervision, outcome, logs.

    engine = Engine(store=..., pinned_deployments=..., clock=..., admission=..., executors=..., ...)
    engine.start()
    engine.notify_due("nightly")                   # the deployment may have a due time

The database decides whether a flow may start, and the files in the run directory how it ended (`executors`); processes
and signals are only hints. This file imports nothing, because the processes of `runs.executors.local.supervisor` import
it and need nothing else.
"""
