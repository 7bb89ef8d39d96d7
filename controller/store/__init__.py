"""The state: what is in force, what was due, what ran. The only package that speaks SQL.

store = Store.open(state_dir / "state.db", project="default")
with store.write() as tx:          # one transaction, on disk when the block ends
    runs.insert_all(tx, [run])
with store.read() as tx:
    runs.find(tx, run.id)
"""

from controller.store.store import Store, Transaction

__all__ = ["Store", "Transaction"]
