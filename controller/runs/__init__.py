"""Everything about a run from its due time to its outcome: admission, queue, launch, supervision, outcome, logs.

    engine = Engine(store=..., pinned_deployments=..., clock=..., admission=..., launcher=..., ...)
    engine.start()
    engine.notify_due("nightly")                   # the deployment may have a due time

The files in the run directory decide the status of a run (`recovery`); processes and signals are only hints. This
file imports nothing, because the processes of `runs.executors.local.supervisor` import it and need nothing else.
"""
