"""One occurrence, from its due time to its outcome: admission, queue, launch, supervision, verdict, logs.

    engine = Engine(store=..., specifications=..., clock=..., admission=..., launcher=..., ...)
    engine.start()
    engine.notify_due("nightly")                      # it may be due
    Requests(...).trigger(Request(...))            # somebody asked for it

What stands in a run's directory decides what became of it (`recovery`); processes and signals are only hints. This
file imports nothing: the processes of `runs.executors.local.supervisor` come through here and need none of the rest.
"""
