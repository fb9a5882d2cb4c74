"""A mail server that keeps an account: which mail it took, and whether its answer found somebody to take it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from typing import Any

from aiosmtpd.smtp import SMTP

from tests.support.eventually import WITHIN
from tests.support.processes import free_port


@dataclass
class Delivery:
    """A mail that was transferred whole.

    ``cut`` says that the client was gone before it could be answered; ``life`` counts the clients that were killed
    before this one.
    """

    recipient: str
    message_id: str
    life: int
    cut: bool = False


class MailLedger:
    """Takes every mail, each a few milliseconds long, and lets a test wait for any moment of any conversation.

    Args:
        seconds_a_mail: between a mail's last byte and the answer to it.
    """

    def __init__(self, seconds_a_mail: float) -> None:
        self._seconds_a_mail = seconds_a_mail
        self._port = free_port()
        self._answering = asyncio.Event()
        self._answering.set()
        self._news = asyncio.Condition()
        self._commands = self._open = self._unanswered = 0
        self.deliveries: list[Delivery] = []
        """In the order in which they were transferred."""
        self.life = 0
        """How many clients were killed so far."""

    @property
    def url(self) -> str:
        """The setting that leads here."""
        return f"smtp://127.0.0.1:{self._port}"

    async def took(self, count: int) -> None:
        """Wait until ``count`` mails were taken."""
        await self._until(lambda: len(self.deliveries) >= count)

    async def heard(self, commands: int) -> None:
        """Wait until clients have said so much more: a moment somewhere in a conversation, or between two."""
        until = self._commands + commands
        await self._until(lambda: self._commands >= until)

    async def holding(self) -> None:
        """Wait until a mail was taken whose client waits for the answer, and hold the answer back until `let_go`."""
        self._answering.clear()
        await self._until(lambda: self._unanswered > 0)

    async def let_go(self) -> None:
        """After the client's death: once every conversation has ended, answer others again."""
        await self._until(lambda: self._open == 0)
        self.life += 1
        self._answering.set()

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        """Called by aiosmtpd when a client names a sender."""
        await self._happened()
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        """Called by aiosmtpd when a client names a recipient."""
        await self._happened()
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """Called by aiosmtpd when a mail was transferred whole, and cancelled by it when the client has gone."""
        message = message_from_bytes(envelope.content, policy=policy.default)
        delivery = Delivery(envelope.rcpt_tos[0], str(message["Message-ID"]), self.life)
        self.deliveries.append(delivery)
        self._unanswered += 1
        try:
            await self._happened()
            await asyncio.sleep(self._seconds_a_mail)
            await self._answering.wait()
        except asyncio.CancelledError:
            delivery.cut = True
            raise
        finally:
            self._unanswered -= 1
        return "250 OK"

    async def _happened(self, opened: int = 0) -> None:
        self._open += opened
        self._commands += 1
        async with self._news:
            self._news.notify_all()

    async def _until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(WITHIN), self._news:
            await self._news.wait_for(holds)


class _Connection(SMTP):
    def __init__(self, ledger: MailLedger) -> None:
        super().__init__(ledger, enable_SMTPUTF8=True, hostname="mail.test")
        self._ledger = ledger

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._told = asyncio.ensure_future(self._ledger._happened(+1))
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._told = asyncio.ensure_future(self._ledger._happened(-1))


@asynccontextmanager
async def mail_ledger(seconds_a_mail: float) -> AsyncIterator[MailLedger]:
    """A ledger, listening."""
    ledger = MailLedger(seconds_a_mail)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(ledger), "127.0.0.1", ledger._port)
    try:
        yield ledger
    finally:
        server.close()
        await server.wait_closed()
