"""Databases: opened durably, by one process, with the schema that the code knows."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import exc

from mesh.database import RETRY_DELAY, Database, DatabaseError, sqlite_url, translated
from mesh.errors import BatonError, ResourceExhausted, Unavailable
from tests.support.plain_schema import plain_schema

METADATA = sa.MetaData()
NOTES = sa.Table("notes", METADATA, sa.Column("text", sa.LargeBinary, nullable=False))
SCHEMA = plain_schema(METADATA)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "notes.db"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    opened = Database(sqlite_url(path), SCHEMA)
    yield opened
    opened.close()


def pragma(database: Database, name: str) -> object:
    with database.engine.connect() as connection:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()


def test_what_is_committed_is_on_disk(database: Database) -> None:
    assert pragma(database, "journal_mode") == "wal"
    assert pragma(database, "synchronous") == 2  # FULL
    assert pragma(database, "foreign_keys") == 1


def test_every_connection_of_the_pool_is_prepared(database: Database) -> None:
    with database.engine.connect() as first, database.engine.connect() as second:
        raw = [connection.connection.driver_connection for connection in (first, second)]

        assert raw[0] is not raw[1]
        assert [one.execute("PRAGMA synchronous").fetchone() for one in raw if one] == [(2,), (2,)]


def test_a_transaction_takes_the_write_lock_before_its_first_read(database: Database, path: Path) -> None:
    other = sqlite3.connect(path, timeout=0, isolation_level=None)

    with database.engine.begin() as connection:
        connection.execute(sa.select(NOTES)).all()
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")

    other.execute("BEGIN IMMEDIATE")
    other.close()


def test_what_fails_leaves_nothing_behind(database: Database) -> None:
    def fail() -> None:
        with database.engine.begin() as connection:
            connection.execute(sa.insert(NOTES).values(text=b"a"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    with database.engine.connect() as connection:
        assert connection.execute(sa.select(NOTES)).all() == []


def test_an_error_quotes_nothing_of_what_a_statement_was_given(database: Database) -> None:
    with pytest.raises(exc.DBAPIError) as failure, database.engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO nowhere VALUES (:email)"), {"email": "ada@example.org"})

    assert "ada@example.org" not in str(failure.value)


def test_a_second_opener_is_refused_while_the_first_lives(database: Database, path: Path) -> None:
    with pytest.raises(DatabaseError, match="in use by another process"):
        Database(sqlite_url(path), SCHEMA)

    database.close()
    Database(sqlite_url(path), SCHEMA).close()


def test_a_second_process_is_refused_and_a_killed_one_leaves_the_way_free(path: Path) -> None:
    program = f"""
import sys
import sqlalchemy as sa
from pathlib import Path
from mesh.database import Database
from mesh.schema import Schema
database = Database({sqlite_url(path)!r}, Schema("a_service", sa.MetaData(), Path(), newest="0001", claim=1))
print("open", flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(DatabaseError, match="in use by another process"):
            Database(sqlite_url(path), SCHEMA)
        other.kill()

    Database(sqlite_url(path), SCHEMA).close()


def test_tables_that_nobody_knows_the_revision_of_are_refused_and_kept(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE notes (text BLOB)")

    with pytest.raises(DatabaseError, match="has a table notes and no schema version"):
        Database(sqlite_url(path), SCHEMA)

    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("notes",)]


def test_tables_of_others_are_no_hindrance(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE pictures (text BLOB)")

    Database(sqlite_url(path), SCHEMA).close()


def test_what_is_no_database_is_refused_and_kept(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("my diary, which is long enough to be looked at as a header of SQLite" * 3)

    with pytest.raises(DatabaseError, match="not a database"):
        Database(sqlite_url(path), SCHEMA)

    assert path.read_text().startswith("my diary")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense hunter2",
        "nosuch://baton:hunter2@127.0.0.1/x",
        "postgresql+nosuch://baton:hunter2@127.0.0.1/x",
        "postgresql://baton:hunter2@127.0.0.1:port/x",
        "oracle://baton:hunter2@127.0.0.1/x",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(DatabaseError, match="cannot be opened") as refusal:
        Database(url, SCHEMA)

    assert "hunter2" not in str(refusal.value)


def test_closing_twice_does_no_harm(database: Database) -> None:
    database.close()
    database.close()


def test_a_database_in_memory_needs_no_lock() -> None:
    first, second = Database("sqlite://", SCHEMA), Database("sqlite://", SCHEMA)

    first.close()
    second.close()


def test_a_full_disk_is_a_limit_that_is_reached(database: Database) -> None:
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 10")

        with pytest.raises(ResourceExhausted) as refusal, translated():
            connection.execute(sa.insert(NOTES).values(text=b"x" * 1_000_000))

    assert (refusal.value.reason, refusal.value.retry_delay) == ("STORAGE_FULL", RETRY_DELAY)


@pytest.mark.parametrize(
    "error",
    [
        exc.OperationalError("SELECT secret", {}, sqlite3.OperationalError("disk I/O error")),
        exc.TimeoutError("no connection became free"),
    ],
)
def test_any_other_trouble_is_unavailable_and_says_nothing_of_sql(error: Exception) -> None:
    with pytest.raises(Unavailable) as refusal, translated():
        raise error

    assert (refusal.value.reason, refusal.value.retry_delay) == ("STORAGE_UNAVAILABLE", RETRY_DELAY)
    assert "SELECT" not in refusal.value.message


def test_our_own_errors_pass_as_they_are() -> None:
    with pytest.raises(BatonError, match="no queue"), translated():
        raise BatonError("QUEUE_NOT_FOUND", "no queue")
