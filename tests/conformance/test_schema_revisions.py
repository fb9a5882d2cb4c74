"""The revisions of each service lead to the tables that its code uses, on every database, wherever they begin."""

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from email_service.storage.schema import SCHEMA as EMAIL
from mesh.database import Database, DatabaseError, sqlite_url
from mesh.migration import look, migrate
from mesh.revision_scripts import known
from mesh.schema import VERSION_TABLE, Schema, State
from queue_service.storage.schema import SCHEMA as QUEUE
from signup_service.storage.schema import SCHEMA as SIGNUP
from tests.support.first_release import first_release
from tests.support.postgres import emptied
from tests.support.schema_picture import picture

SCHEMAS = pytest.mark.parametrize("schema", [QUEUE, EMAIL, SIGNUP], ids=lambda schema: schema.service)
DATABASES = pytest.mark.parametrize("database", ["sqlite", "postgresql"])


def empty(database: str, folder: Path, request: pytest.FixtureRequest) -> str:
    if database == "sqlite":
        file = folder / "state.db"
        file.unlink(missing_ok=True)
        return sqlite_url(file)
    return emptied(request.getfixturevalue("postgres"))


def differences(url: str, schema: Schema) -> list[Any]:
    """What Alembic would write into a new revision."""
    engine = sa.create_engine(url)
    options = {"version_table": VERSION_TABLE, "compare_type": True, "compare_server_default": True}
    with engine.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection, opts=options), schema.metadata)
    engine.dispose()
    return list(found)


@SCHEMAS
def test_the_newest_revision_is_the_one_that_the_code_needs(schema: Schema) -> None:
    revisions = known(schema)

    assert revisions[-1] == schema.newest
    assert list(revisions) == sorted(revisions)


@SCHEMAS
@DATABASES
def test_all_revisions_lead_from_nothing_to_the_tables_of_the_code(
    schema: Schema, database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = empty(database, tmp_path, request)
    migrate(url, schema)
    migrated = picture(url)

    assert differences(url, schema) == []
    url = empty(database, tmp_path, request)
    Database(url, schema).close()
    assert migrated == picture(url)


@SCHEMAS
@DATABASES
def test_a_database_of_the_first_release_is_taken_over_with_all_that_is_in_it(
    schema: Schema, database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = empty(database, tmp_path, request)
    rows = first_release(url, schema)
    with pytest.raises(DatabaseError, match=rf"run: python -m {schema.service} migrate$"):
        Database(url, schema)
    assert look(url, schema).state is State.NUMBERED

    migrate(url, schema)

    assert rows.changed() == []
    migrated = picture(url)
    Database(url, schema).close()
    Database(empty(database, tmp_path, request), schema).close()
    assert migrated == picture(url)


@SCHEMAS
def test_what_a_release_before_added_to_its_databases_only_at_a_start_is_made_up_for(
    schema: Schema, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = empty("sqlite", tmp_path, request)
    first_release(url, schema)
    index = next(index for table in schema.metadata.sorted_tables for index in table.indexes)
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        index.drop(connection)
    engine.dispose()

    migrate(url, schema)

    assert differences(url, schema) == []


@pytest.mark.parametrize("number", [0, 99])
def test_a_number_that_the_first_release_did_not_have_is_refused(
    number: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = empty("sqlite", tmp_path, request)
    first_release(url, QUEUE)
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version = {number}")
    engine.dispose()
    before = picture(url)

    for attempt in (Database, migrate):
        with pytest.raises(DatabaseError, match=f"has schema version {number}: no release"):
            attempt(url, QUEUE)

    assert picture(url) == before


@DATABASES
def test_the_first_release_refuses_a_database_with_revisions(
    database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = empty(database, tmp_path, request)
    Database(url, QUEUE).close()
    engine = sa.create_engine(url)

    with pytest.raises(sa.exc.DBAPIError, match=r"schema_version\.version"), engine.connect() as connection:
        connection.exec_driver_sql("SELECT schema_version.version FROM schema_version")

    engine.dispose()


@pytest.mark.parametrize("change", ["nothing", "column", "index", "table", "rowid"])
def test_a_planted_change_without_a_revision_is_found(
    change: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = empty("sqlite", tmp_path, request)
    migrate(url, QUEUE)
    migrated = picture(url)
    changed = sa.MetaData()
    for table in QUEUE.metadata.sorted_tables:
        table.to_metadata(changed)
    if change == "column":
        changed.tables["messages"].append_column(sa.Column("colour", sa.Text))
    elif change == "index":
        sa.Index("messages_expire", changed.tables["messages"].c.send_time)
    elif change == "table":
        sa.Table("colours", changed, sa.Column("colour", sa.Text))
    elif change == "rowid":
        changed.tables["messages"].dialect_options["sqlite"]["with_rowid"] = True

    url = empty("sqlite", tmp_path, request)
    engine = sa.create_engine(url)
    changed.create_all(engine)
    engine.dispose()

    migrated = {name: parts for name, parts in migrated.items() if VERSION_TABLE not in name}
    assert (migrated == picture(url)) is (change == "nothing")
