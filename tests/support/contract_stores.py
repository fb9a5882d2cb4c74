"""The stores that the contract's machine is run against: a fresh one for each life, the same one after a restart."""

import tempfile
from pathlib import Path

import sqlalchemy as sa

from mesh.database import sqlite_url
from queue_service.storage.base import MessageStore
from queue_service.storage.memory import MemoryStore
from queue_service.storage.schema import METADATA
from queue_service.storage.sql import SqlStore
from tests.support.contract_machine import ContractMachine


class MemoryMachine(ContractMachine):
    def __init__(self) -> None:
        self.store: MessageStore = self.make_store()
        super().__init__()

    def make_store(self) -> MessageStore:
        return MemoryStore()

    def open_store(self) -> MessageStore:
        return self.store


class SqliteMachine(ContractMachine):
    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        super().__init__()

    def open_store(self) -> MessageStore:
        return SqlStore(sqlite_url(Path(self.folder.name) / "queue.db"))

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


class PostgresMachine(ContractMachine):
    """To be given the ``url`` of a server by a subclass; each life empties its database first."""

    url = ""

    def __init__(self) -> None:
        _emptied(self.url)
        super().__init__()

    def open_store(self) -> MessageStore:
        return SqlStore(self.url)


def _emptied(url: str) -> None:
    """A database with nothing in it, or, which is quicker, with nothing in the broker's tables."""
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        found = set(sa.inspect(connection).get_table_names())
        if METADATA.tables.keys() <= found:
            connection.exec_driver_sql(f"TRUNCATE {', '.join(METADATA.tables)}")
        else:
            connection.exec_driver_sql("DROP SCHEMA public CASCADE")
            connection.exec_driver_sql("CREATE SCHEMA public")
    engine.dispose()
