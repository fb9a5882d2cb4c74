"""Room on the disk of an SQLite file: some is kept back, so that acks still work, and make room, when no send fits."""

import os
from pathlib import Path

import sqlalchemy as sa

from mesh.database import RETRY_DELAY
from mesh.errors import ResourceExhausted
from mesh.telemetry import get_logger

log = get_logger(__name__)


class DiskRoom:
    """What is left, on the disk and inside the file.

    Args:
        url: the database; only an SQLite file is looked after.
        reserve: bytes that sends leave free; half of them on the disk itself, where the write-ahead log grows.
    """

    def __init__(self, url: sa.URL, reserve: int) -> None:
        file = url.database if url.get_backend_name() == "sqlite" else None
        self._folder = Path(file).parent if file and file != ":memory:" and reserve else None
        self._reserve, self._short = reserve, False

    def refusal(self, connection: sa.Connection) -> ResourceExhausted | None:
        """Why nothing more may be stored; None while there is room."""
        if self._folder is None:
            return None
        short = not self._suffices(connection, self._folder)
        if short is not self._short:
            self._short = short
            self._tell(short=short)
        message = "the disk is as good as full: what is left is kept for settlements"
        return ResourceExhausted("STORAGE_FULL", message, retry_delay=RETRY_DELAY) if short else None

    def _suffices(self, connection: sa.Connection, folder: Path) -> bool:
        found = os.statvfs(folder)
        on_disk = found.f_bavail * found.f_frsize
        return on_disk >= self._reserve or (
            on_disk >= self._reserve // 2 and on_disk + _inside(connection) >= self._reserve
        )

    def _tell(self, *, short: bool) -> None:
        if short:
            log.error("the disk is short of room: sends are refused", action="storage_short", reserve=self._reserve)
        else:
            log.info("the disk has room again", action="storage_has_room")


def _inside(connection: sa.Connection) -> int:
    """Bytes of pages in the file that hold nothing any more and are used before it grows."""
    pages: int = connection.exec_driver_sql("PRAGMA freelist_count").scalar_one()
    size: int = connection.exec_driver_sql("PRAGMA page_size").scalar_one()
    return pages * size
