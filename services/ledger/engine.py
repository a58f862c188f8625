"""The one place where databases differ: how to connect to each."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.pool import StaticPool

from services.ledger.store import StoreTrouble

BUSY_S: Final = 5.0
"""How long to wait for another one's transaction on SQLite."""


def connect(url: URL, *, read_only: bool) -> Engine:
    """The engine for this URL; raises StoreTrouble where its driver is missing. Opens nothing yet."""
    try:
        if url.get_backend_name() != "sqlite":
            return create_engine(url, pool_pre_ping=True)
        if url.database in (None, "", ":memory:"):
            return create_engine(url, poolclass=StaticPool, connect_args={"check_same_thread": False})
        if read_only:
            path = Path(str(url.database)).absolute()
            url = url.set(database=path.as_uri(), query={"mode": "ro", "uri": "true"})
        engine = create_engine(url, connect_args={"timeout": BUSY_S})
    except (NoSuchModuleError, ImportError) as error:
        raise StoreTrouble(f"no driver for {url.drivername}: {error}; install the database's Python driver") from error
    except ArgumentError as error:
        shown = url.render_as_string(hide_password=True)
        raise StoreTrouble(f"expected a database's URL such as sqlite:///ledger.db; got {shown}") from error
    if not read_only:
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def _prepare_sqlite(connection: Any, _: object) -> None:
    """Readers beside the one writer, and transactions that begin as writers, so that none fails half-way for a lock."""
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
