"""Mail into a folder, for development and tests: one ``.eml`` file a letter, put there whole."""

import asyncio
import os
from pathlib import Path

from email_service.failure import Failure, TransportError
from email_service.letter import Letter
from email_service.rendering import utc

#: Letters that are worth writing at a time: a disk takes its time over each of them, and bears several at once.
AT_ONCE = 4


class OutboxTransport:
    """A folder; names sort by the time of the emails, and a letter that is written again takes its own place."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder

    async def send(self, letter: Letter) -> None:
        """Write the letter; on return it is on disk under its name."""
        try:
            await asyncio.to_thread(self._write, letter)
        except OSError as error:
            description = f"the outbox cannot be written: {error.strerror}"
            raise TransportError(Failure("OUTBOX_FAILED", description)) from error

    async def close(self) -> None:
        """Nothing is held between letters."""

    def _write(self, letter: Letter) -> None:
        name = file_name(letter)
        unfinished = self._folder / f".{name}.part"  # hidden, so that a reader of the folder sees whole letters only
        with unfinished.open("wb") as file:
            file.write(letter.message)
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(self._folder / name)
        self._sync_folder()

    def _sync_folder(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def file_name(letter: Letter) -> str:
    """Such as ``20261123T212800.123456Z-<email id>.eml``."""
    return f"{utc(letter.created_at):%Y%m%dT%H%M%S.%fZ}-{letter.email_id}.eml"
