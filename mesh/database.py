"""Databases: opened one way, errors translated once, the schema's revision checked before anything is read.

SQLite is opened for durability: write-ahead log, ``synchronous=FULL`` (a commit that returned is on disk), and
``BEGIN IMMEDIATE``, because a transaction that reads first and writes later can fail with SQLITE_BUSY at any timeout.
"""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import IO, Any, Self

import sqlalchemy as sa
from sqlalchemy import event, exc

from mesh.errors import ResourceExhausted, Unavailable
from mesh.schema import Schema, State, create, refusal, standing

# How long a caller should wait before asking a broken or full database again.
RETRY_DELAY = timedelta(seconds=1)
#: Seconds that a database in use is waited for: a restart may be quicker than the server's notice of the end before it.
CLAIM_WAIT = 5

# A failed statement's error would quote what it was given, a runner's name and address among it, and errors are logged.
_DISCREET = {"hide_parameters": True}
_FULL = ("database or disk is full", "No space left")


class DatabaseError(Exception):
    """The database cannot be used: unreachable, in use by another process, or of another revision."""

    @classmethod
    def of(cls, error: Exception) -> Self:
        """What a library's error says, without the values that a statement was given."""
        return cls(f"the database cannot be opened: {_text(error)}")


def sqlite_url(path: Path) -> str:
    """The URL of an SQLite file."""
    return sa.URL.create("sqlite", database=str(path)).render_as_string()


class Database:
    """An engine with its schema in place.

    Args:
        url: an SQLAlchemy URL; an SQLite file is locked against a second process.
        schema: the tables and their revision; they are made in an empty database, and another revision is refused.
        prepare: what is done instead, in one transaction, with foreign keys not yet enforced by SQLite.

    Raises:
        DatabaseError: the database cannot be used.
    """

    def __init__(self, url: str, schema: Schema, *, prepare: Callable[[sa.Connection], None] | None = None) -> None:
        self._lock: IO[str] | None = None
        self._claim: sa.Connection | None = None
        try:
            self.engine = _engine(url, foreign_keys=prepare is None)
            self._lock = _lock(self.engine.url)
            self._claim = _claim(self.engine, schema.claim)
            with self.engine.begin() as connection:
                if prepare is None:
                    _ensure_schema(connection, schema)
                else:
                    prepare(connection)
        except (exc.SQLAlchemyError, ImportError, ValueError) as error:  # the latter two: no driver, no port number
            self.close()
            raise DatabaseError.of(error) from error
        except Exception:
            self.close()
            raise

    def close(self) -> None:
        """Close every connection and give up the lock; safe twice."""
        if self._claim is not None:
            self._claim.close()
            self._claim = None
        if hasattr(self, "engine"):
            self.engine.dispose()
        if self._lock is not None:
            self._lock.close()
            self._lock = None


@contextmanager
def translated() -> Iterator[None]:
    """No SQLAlchemy error leaves this block: callers get STORAGE_FULL or STORAGE_UNAVAILABLE and when to come back."""
    try:
        yield
    except (exc.DBAPIError, exc.TimeoutError) as error:
        if any(text in _text(error) for text in _FULL):
            raise ResourceExhausted("STORAGE_FULL", "the disk is full", retry_delay=RETRY_DELAY) from error
        raise Unavailable("STORAGE_UNAVAILABLE", "the storage cannot be used", retry_delay=RETRY_DELAY) from error


def _engine(url: str, *, foreign_keys: bool) -> sa.Engine:
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return sa.create_engine(parsed, **_DISCREET)
    if parsed.database:
        Path(parsed.database).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    engine = sa.create_engine(parsed, connect_args={"check_same_thread": False, "timeout": 10}, **_DISCREET)
    event.listen(engine, "connect", partial(_prepare_sqlite, foreign_keys=foreign_keys))
    event.listen(engine, "begin", _begin_immediate)
    return engine


def _prepare_sqlite(connection: Any, _: object, *, foreign_keys: bool) -> None:
    connection.isolation_level = None  # the driver's own BEGIN is deferred; ours comes from the event below
    for pragma in ("journal_mode=WAL", "synchronous=FULL", f"foreign_keys={int(foreign_keys)}"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_immediate(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _lock(url: sa.URL) -> IO[str] | None:
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        return None
    lock = Path(f"{url.database}.lock").open("w")  # noqa: SIM115  # held as long as the database is open
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise DatabaseError(f"{url.database} is in use by another process") from error
    return lock


def _claim(engine: sa.Engine, key: int) -> sa.Connection | None:
    """PostgreSQL's lock against a second process: it lasts as long as the connection that holds it.

    The server may take a moment to notice that a process before this one has gone, so it is waited for a little.
    """
    if engine.dialect.name != "postgresql":
        return None
    connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    try:
        connection.exec_driver_sql(f"SET lock_timeout = '{CLAIM_WAIT}s'")
        connection.execute(sa.select(sa.func.pg_advisory_lock(key)))
    except exc.OperationalError as error:
        connection.invalidate()
        connection.close()
        raise DatabaseError(f"database {engine.url.database} is in use by another process") from error
    return connection


def _ensure_schema(connection: sa.Connection, schema: Schema) -> None:
    found = standing(connection, schema)
    if found.state is State.EMPTY:
        create(connection, schema)
    elif not found.usable:
        raise DatabaseError(refusal(found, schema))


def _text(error: Exception) -> str:
    return str(error.orig) if isinstance(error, exc.DBAPIError) else str(error)
