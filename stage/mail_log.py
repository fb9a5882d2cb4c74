"""The mail server seen from outside: started and stopped, told its manners, and its log read."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from stage.manners import Manners


@dataclass(frozen=True)
class MailEvent:
    """A line of the log."""

    time: float
    """Seconds since 1970."""
    what: str
    """``transferred``, then ``taken`` or ``refused`` or ``cut``; or ``refused`` at once."""
    recipient: str
    attempt: int
    """How often this recipient was named so far."""
    connection: int
    """The client's port, by which connections are told apart."""
    message_id: str = ""
    reply: str = ""


class MailServer:
    """A running mail server."""

    def __init__(self, port: int, manners: Path, log: Path) -> None:
        self.port = port
        self._manners, self._log = manners, log

    @property
    def url(self) -> str:
        """The setting that leads there."""
        return f"smtp://127.0.0.1:{self.port}"

    def behave(self, manners: Manners) -> None:
        """Change its manners, from the next recipient on."""
        manners.write(self._manners)

    def events(self) -> list[MailEvent]:
        """Everything so far."""
        text = self._log.read_text(encoding="utf-8")
        whole, _, _ = text.rpartition("\n")
        return [MailEvent(**json.loads(line)) for line in whole.splitlines()]

    def taken(self) -> list[MailEvent]:
        """Every mail that it took."""
        return [event for event in self.events() if event.what == "taken"]


@asynccontextmanager
async def mail_server(folder: Path, manners: Manners, *, port: int = 0) -> AsyncIterator[MailServer]:
    """A mail server, listening; its files are in ``folder``."""
    told, log = folder / "manners.json", folder / "mail.log"
    manners.write(told)
    log.touch()
    files = ["--manners", str(told), "--log", str(log), "--port", str(port)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "stage.mail_server", *files, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    try:
        said = await process.stdout.readline()
        if not said:
            raise RuntimeError(f"the mail server ended with code {await process.wait()}")
        yield MailServer(int(said), told, log)
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
