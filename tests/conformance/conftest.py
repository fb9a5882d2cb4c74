from collections.abc import Iterator
from pathlib import Path

import pytest

from mesh.database import sqlite_url
from queue_service.storage.base import MessageStore
from queue_service.storage.memory import MemoryStore
from queue_service.storage.sql import SqlStore
from tests.support.postgres import emptied


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MessageStore]:
    """Every store there is."""
    made: MessageStore
    if request.param == "memory":
        made = MemoryStore()
    elif request.param == "sqlite":
        made = SqlStore(sqlite_url(tmp_path / "queue.db"))
    else:
        made = SqlStore(emptied(request.getfixturevalue("postgres")))
    yield made
    made.close()
