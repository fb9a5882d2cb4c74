from collections.abc import Iterator
from pathlib import Path

import pytest

from mesh.database import sqlite_url
from queue_service.storage.base import MessageStore
from queue_service.storage.memory import MemoryStore
from queue_service.storage.sql import SqlStore


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MessageStore]:
    """Every store there is."""
    made: MessageStore = MemoryStore() if request.param == "memory" else SqlStore(sqlite_url(tmp_path / "queue.db"))
    yield made
    made.close()
