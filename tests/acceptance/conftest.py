import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.processes import MeshProcesses, mesh_in
from tests.support.queue_file import write_queue_file
from tests.support.smtp_server import SmtpServer, smtp_server


@pytest.fixture
def folder() -> Iterator[Path]:
    # pytest's own folders have long names, and a unix socket's path may not.
    with tempfile.TemporaryDirectory(prefix="baton-", ignore_cleanup_errors=True) as name:
        yield Path(name).resolve()


@pytest.fixture
async def smtp() -> AsyncIterator[SmtpServer]:
    async with smtp_server() as server:
        yield server


@pytest.fixture
async def mesh(folder: Path, smtp: SmtpServer) -> AsyncIterator[MeshProcesses]:
    """The three services, not started, with short waits in the queues and their mail going to ``smtp``."""
    async with mesh_in(folder) as processes:
        processes.set("BATON_QUEUE_CONFIG", write_queue_file(folder / "queues.toml"))
        processes.set("BATON_EMAIL_SMTP_URL", smtp.url)
        yield processes
