"""The state: active deployments, due times, runs and events. The only package that uses SQL.

store = Store.open(state_dir / "state.db", project="default")
with store.write() as tx:          # one transaction, committed to disk when the block ends
    runs.insert_all(tx, [run])
with store.read() as tx:
    runs.find(tx, run.id)

Importing this package does not import SQLAlchemy, which takes half a second: commands that only ask the running
controller need `access_check` and `state_directory`, but no database.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from controller.store.store import Store as Store
    from controller.store.store import Transaction as Transaction
else:

    def __getattr__(name: str) -> object:
        """Load `Store` and `Transaction` when they are first used (PEP 562)."""
        if name not in ("Store", "Transaction"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from controller.store import store

        return getattr(store, name)
