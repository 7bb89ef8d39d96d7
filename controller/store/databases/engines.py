"""Makes the engines of both kinds of database.

All engines of a kind of database share one dialect and one cache, so that each statement is compiled once and not once
for each engine. Compiling takes longer than most statements.
"""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import URL, Compiled, Dialect, Engine, create_engine, event
from sqlalchemy.pool import QueuePool
from sqlalchemy.util import LRUCache

_COMPILED: LRUCache[Any, Compiled] = LRUCache(500)


def new_engine(
    url: URL,
    dialect: Dialect,
    arguments: Mapping[str, Any],
    *,
    size: int,
    overflow: int,
    connect: Callable[..., Any] | None = None,
) -> Engine:
    """Return a new engine with a pool of its own: `size` connections stay open, and `overflow` more may be open.

    `arguments` are those of the driver for a new connection. `connect` opens one; None: the driver's own function.
    """
    new = create_engine(url, poolclass=QueuePool, pool_size=size, max_overflow=overflow, connect_args=dict(arguments))
    _connect_with(new, connect)
    return Engine(new.pool, dialect, url, execution_options={"compiled_cache": _COMPILED})


def new_dialect(url: URL, *, connect: Callable[..., Any] | None = None, **options: Any) -> Dialect:
    """Return a dialect that was initialized with a connection. `options` are those of `create_engine`."""
    engine = create_engine(url, **options)
    _connect_with(engine, connect)
    with engine.connect():
        pass
    engine.dispose()
    return engine.dialect


def _connect_with(engine: Engine, connect: Callable[..., Any] | None) -> None:
    if connect is not None:
        event.listen(engine, "do_connect", lambda _dialect, _record, args, options: connect(*args, **options))
