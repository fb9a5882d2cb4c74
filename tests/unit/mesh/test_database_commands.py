"""What a service's program says and does about its database, alike for all services."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest

import email_service.command_line
import queue_service.command_line
import signup_service.command_line
from mesh.database import Database, sqlite_url
from mesh.database_commands import EXIT_FAILED, EXIT_TO_DO
from mesh.program import EXIT_CONFIG
from mesh.schema import VERSION_TABLE, Schema
from tests.support.first_release import first_release

Main = Callable[[list[str]], int]

FILES = {"queue": "queue.db", "email": "email.db", "signup": "signup.db"}


@pytest.fixture(params=[queue_service.command_line, email_service.command_line, signup_service.command_line])
def program(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unlogged: None) -> object:
    monkeypatch.setattr("mesh.database_commands.configure", lambda *_, **__: None)  # it is the process's, not a test's
    monkeypatch.setenv("BATON_DATA_DIR", str(tmp_path / "data"))
    return request.param


@pytest.fixture
def main(program: object) -> Main:
    return cast("Main", program.main)  # type: ignore[attr-defined]


@pytest.fixture
def schema(program: object) -> Schema:
    return cast("Schema", program.SCHEMA)  # type: ignore[attr-defined]


@pytest.fixture
def file(schema: Schema, tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data" / FILES[schema.service.removesuffix("_service")]


def revisions(file: Path) -> list[object]:
    with closing(sqlite3.connect(file)) as connection:
        return [row[0] for row in connection.execute(f"SELECT * FROM {VERSION_TABLE}")]


def test_a_database_of_the_first_release_is_migrated_and_then_there_is_nothing_to_do(
    main: Main, schema: Schema, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first_release(sqlite_url(file), schema)
    found = f"schema version {schema.first_number}"

    assert main(["migrate", "--check"]) == EXIT_TO_DO
    assert capsys.readouterr().out == f"the database has {found}: it is to be migrated to revision {schema.newest}\n"
    assert revisions(file) == [schema.first_number]

    assert main(["migrate"]) == 0
    account = capsys.readouterr().out
    assert account.startswith(f"the database is migrated from {found} to revision {schema.newest}, in ")
    assert account.endswith(" s\n")
    assert revisions(file) == [schema.newest]

    for arguments in (["migrate", "--check"], ["migrate"]):
        assert main(arguments) == 0
        assert capsys.readouterr().out == f"the database has revision {schema.newest}: nothing to do\n"


def test_a_database_that_is_not_there_is_nothing_to_migrate(
    main: Main, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["migrate", "--check"]) == 0

    assert capsys.readouterr().out == "there is no database yet: a start makes it, nothing to do\n"
    assert not file.exists()


def test_a_database_can_be_made_by_the_command(
    main: Main, schema: Schema, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["migrate"]) == 0

    assert f"from nothing to revision {schema.newest}" in capsys.readouterr().out
    Database(sqlite_url(file), schema).close()


@pytest.mark.parametrize("arguments", [["migrate"], ["migrate", "--check"]])
def test_a_newer_database_is_refused_and_kept(
    main: Main, schema: Schema, file: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Database(sqlite_url(file), schema).close()
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")

    assert main(arguments) == EXIT_CONFIG

    assert "the database is newer than this release: it has revision 9999" in capsys.readouterr().err
    assert revisions(file) == ["9999"]


def test_a_database_in_use_is_refused_and_yet_looked_at_and_backed_up(
    main: Main, schema: Schema, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service = Database(sqlite_url(file), schema)
    try:
        assert main(["migrate"]) == EXIT_CONFIG
        assert "in use by another process" in capsys.readouterr().err
        assert main(["migrate", "--check"]) == 0
        assert main(["backup", str(tmp_path / "copy.db")]) == 0
    finally:
        service.close()

    assert f"{tmp_path / 'copy.db'}: " in capsys.readouterr().out
    assert revisions(tmp_path / "copy.db") == [schema.newest]


def test_a_migration_that_fails_says_that_nothing_was_changed(
    main: Main, schema: Schema, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first_release(sqlite_url(file), schema)
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE parents (id INTEGER PRIMARY KEY)")
        connection.execute("CREATE TABLE children (parent INTEGER REFERENCES parents (id))")
        connection.execute("INSERT INTO children VALUES (7)")

    assert main(["migrate"]) == EXIT_FAILED

    errors = capsys.readouterr().err
    assert "the migration failed and changed nothing: ValueError: rows of children refer to rows of parents" in errors
    assert revisions(file) == [schema.first_number]


@pytest.mark.parametrize("arguments", [["migrate"], ["migrate", "--check"], ["backup", "copy.db"]])
def test_a_setting_that_cannot_be_used_is_named(
    main: Main, arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BATON_GRACE", "soon")

    assert main(arguments) == EXIT_CONFIG

    assert capsys.readouterr().err.startswith("BATON_GRACE: ")
