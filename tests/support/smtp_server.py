"""A mail server that keeps what it takes, and misbehaves as it is told."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP

from tests.support.eventually import WITHIN
from tests.support.processes import free_port

ANYONE = "anyone"


@dataclass(frozen=True)
class Mail:
    """A mail that the server took."""

    recipient: str
    message: EmailMessage

    @property
    def message_id(self) -> str:
        """By which a receiver knows a repeat."""
        return str(self.message["Message-ID"])

    @property
    def text(self) -> str:
        """What a person reads."""
        body = self.message.get_body(("plain",))
        assert body is not None
        return str(body.get_content())


class SmtpServer:
    """Listens on the loopback interface while it is open.

    A mail counts as taken once it was transferred whole; the answer to it comes ``seconds_a_mail`` later. So a client
    that dies in between has sent a mail without knowing, as with any real server.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self.mails: list[Mail] = []
        self.seconds_a_mail = 0.0
        self._arrived = asyncio.Condition()
        self._refusals: defaultdict[str, list[str]] = defaultdict(list)
        self._answering = asyncio.Event()
        self._answering.set()
        self._asked = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.BaseTransport] = set()

    @property
    def url(self) -> str:
        """The setting that leads here."""
        return f"smtp://127.0.0.1:{self.port}"

    @property
    def recipients(self) -> list[str]:
        """To whom mails were taken, in order; one entry a mail."""
        return [mail.recipient for mail in self.mails]

    async def open(self) -> None:
        """Listen, on the same port every time."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self, self._connections), "127.0.0.1", self.port)

    async def close(self) -> None:
        """Hang up on everybody and listen no more."""
        self._answering.set()
        for connection in tuple(self._connections):
            connection.close()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    def refuse(self, reply: str, *, recipient: str = ANYONE, times: int = 1) -> None:
        """Answer the next ``times`` recipients, or this one every so often, with ``reply``."""
        self._refusals[recipient] += [reply] * times

    def hang(self) -> None:
        """Answer no recipient until `close`."""
        self._answering.clear()

    async def asked(self) -> None:
        """Wait until a client has named a recipient."""
        async with asyncio.timeout(WITHIN):
            await self._asked.wait()

    async def took(self, count: int, *, within: float = WITHIN) -> None:
        """Wait until ``count`` mails were taken."""
        try:
            async with asyncio.timeout(within), self._arrived:
                await self._arrived.wait_for(lambda: len(self.mails) >= count)
        except TimeoutError as error:
            raise AssertionError(f"{len(self.mails)} of {count} mails within {within:g} s") from error

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        """Called by aiosmtpd when a client names a recipient."""
        self._asked.set()
        await self._answering.wait()
        refusals = self._refusals[address] or self._refusals[ANYONE]
        if refusals:
            return refusals.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """Called by aiosmtpd when a mail was transferred whole."""
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        async with self._arrived:
            self.mails.append(Mail(envelope.rcpt_tos[0], message))
            self._arrived.notify_all()
        await asyncio.sleep(self.seconds_a_mail)
        return "250 OK"


class _Connection(SMTP):
    def __init__(self, handler: SmtpServer, connections: set[asyncio.BaseTransport]) -> None:
        super().__init__(handler, enable_SMTPUTF8=True, hostname="mail.test")
        self._connections = connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._connections.add(transport)
        self._mine = transport
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.discard(self._mine)
        super().connection_lost(error)


@asynccontextmanager
async def smtp_server() -> AsyncIterator[SmtpServer]:
    """A mail server, listening."""
    server = SmtpServer()
    await server.open()
    try:
        yield server
    finally:
        await server.close()
