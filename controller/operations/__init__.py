"""Operations: what users and programs can request from the running controller. Nothing else changes anything for them.

One module per operation, and one function per verb, which the routes of the API call: `trigger`, `cancel`, `retry`,
`bulk` and `bulk_filters` (many runs), `backfills`, `holds` (hold and resume) and `approval`.

Every function takes an `OperationContext` first. It changes the state in one transaction, which also records an event
with the author of the request, wakes the engine, and raises ControllerError for a request that cannot be carried out.
It waits for no process and no reconcile pass. A request names deployments, runs, digests and parameters; it cannot
contain code, commands, paths or specifications.
"""
