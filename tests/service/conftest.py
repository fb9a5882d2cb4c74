"""The broker as a caller in any language meets it: a real server, real stubs, a store on disk."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mesh.database import sqlite_url
from queue_service.storage.sql import SqlStore
from tests.support.running_broker import RunningBroker, running_broker


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[RunningBroker]:
    async with running_broker(SqlStore(sqlite_url(tmp_path / "queue.db"))) as made:
        yield made
