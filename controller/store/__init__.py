"""The state: active deployments, due times, runs and events. The only package that uses SQL.

store = Store.open(state_dir / "state.db", project="default")
with store.write() as tx:          # one transaction, committed to disk when the block ends
    runs.insert_all(tx, [run])
with store.read() as tx:
    runs.find(tx, run.id)
"""

from controller.store.store import Store, Transaction

__all__ = ["Store", "Transaction"]
