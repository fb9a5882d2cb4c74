"""A mail server that keeps what it takes, and misbehaves as it is told."""

import asyncio
import ssl
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult

from tests.support.eventually import WITHIN
from tests.support.processes import free_port

ANYONE = "anyone"
#: In place of a reply: none ever comes, or the connection ends.
SILENCE, HANG_UP = "(silence)", "(hang up)"


@dataclass(frozen=True)
class Mail:
    """A mail that the server took."""

    recipient: str
    message: EmailMessage
    size: int
    """In bytes, as it was transferred."""
    taken_at: float
    """By the event loop's clock, in seconds."""

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


@dataclass
class Visit:
    """One connection as the server saw it."""

    commands: list[str]
    """The first word of each, ``CONNECT`` before them and ``LETTER`` for a mail that was transferred whole."""


class SmtpServer:
    """Listens on the loopback interface while it is open.

    A mail counts as taken once it was transferred whole; the answer to it comes ``seconds_a_mail`` later. So a client
    that dies in between has sent a mail without knowing, as with any real server.

    Args:
        tls: with which STARTTLS is offered; without it there is none.
        tls_at_once: with ``tls``, it is spoken from the first byte.
        password: with which a login is taken, from anybody; without it there is no login.
        size: the most bytes of a mail, said to whoever asks; None for no such limit.
        smtputf8: whether addresses beyond ASCII are taken.
        room: the most connections; further ones are turned away.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        tls_at_once: bool = False,
        password: str | None = None,
        size: int | None = 33_554_432,
        smtputf8: bool = True,
        room: int | None = None,
    ) -> None:
        self.port = free_port()
        self.mails: list[Mail] = []
        self.visits: list[Visit] = []
        self.sizes: list[int] = []
        self.most_at_once = 0
        self.seconds_a_mail = 0.0
        self.starttls = None if tls_at_once else tls
        self._tls = tls if tls_at_once else None
        self.password, self.size, self.smtputf8, self.room = password, size, smtputf8, room
        self.connections: set[asyncio.BaseTransport] = set()
        self.admitted: set[asyncio.BaseTransport] = set()
        self._arrived = asyncio.Condition()
        self._refusals: defaultdict[str, list[str]] = defaultdict(list)
        self._answers: defaultdict[str, list[str | bytes]] = defaultdict(list)
        self._answering = asyncio.Event()
        self._answering.set()
        self._asked = asyncio.Event()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """The setting that leads here."""
        return f"smtp{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    @property
    def recipients(self) -> list[str]:
        """To whom mails were taken, in order; one entry a mail."""
        return [mail.recipient for mail in self.mails]

    def heard(self, command: str) -> int:
        """How often a command came, over all connections."""
        return sum(visit.commands.count(command) for visit in self.visits)

    async def open(self) -> None:
        """Listen, on the same port every time."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", self.port, ssl=self._tls)

    async def close(self) -> None:
        """Hang up on everybody and listen no more."""
        self._answering.set()
        for connection in tuple(self.connections):
            connection.close()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    def refuse(self, reply: str, *, recipient: str = ANYONE, times: int = 1) -> None:
        """Answer the next ``times`` recipients, or this one every so often, with ``reply``."""
        self._refusals[recipient] += [reply] * times

    def answer(self, step: str, *replies: str | bytes) -> None:
        """Answer the next of these steps with ``replies``, one each: a command, or ``CONNECT``, or ``LETTER``."""
        self._answers[step] += replies

    def hang(self) -> None:
        """Answer no recipient until `close`."""
        self._answering.clear()

    async def asked(self) -> None:
        """Wait until a client has named a recipient."""
        async with asyncio.timeout(WITHIN):
            await self._asked.wait()

    async def took(self, count: int, *, within: float = WITHIN) -> None:
        """Wait until ``count`` mails were taken."""
        await self._until(lambda: len(self.mails) >= count, f"{count} mails", within)

    async def reached(self, step: str, count: int = 1) -> None:
        """Wait until a step was come to so often, over all connections."""
        await self._until(lambda: self.heard(step) >= count, f"{count} times {step}", WITHIN)

    async def left(self) -> None:
        """Wait until nobody is connected."""
        await self._until(lambda: not self.connections, "nobody left", WITHIN)

    async def _until(self, holds: Any, what: str, within: float) -> None:
        try:
            async with asyncio.timeout(within), self._arrived:
                await self._arrived.wait_for(holds)
        except TimeoutError as error:
            said = f"{len(self.mails)} mails taken, {len(self.connections)} connections"
            raise AssertionError(f"not so within {within:g} s: {what}; {said}") from error

    async def changed(self) -> None:
        """Something arrived or left."""
        async with self._arrived:
            self._arrived.notify_all()

    def next_answer(self, step: str) -> str | bytes | None:
        """What a step is answered with, if that was told."""
        return self._answers[step].pop(0) if self._answers[step] else None

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        """Called by aiosmtpd when a client logs in."""
        return AuthResult(success=data.password == str(self.password).encode(), handled=False)

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        """Called by aiosmtpd when a client names a sender."""
        self.sizes += [int(option.partition("=")[2]) for option in options if option.upper().startswith("SIZE=")]
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        """Called by aiosmtpd when a client names a recipient."""
        self._asked.set()
        await self._answering.wait()
        refusals = self._refusals[address] or self._refusals[ANYONE]
        reply = refusals.pop(0) if refusals else "250 OK"
        if reply.startswith("2"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, server: "_Connection", session: Any, envelope: Any) -> str | bytes:
        """Called by aiosmtpd when a mail was transferred whole; it is not taken when the answer says so."""
        server.visit.commands.append("LETTER")
        answer = self.next_answer("LETTER")
        if answer is None or str(answer)[:1] not in "45":
            message = message_from_bytes(envelope.content, policy=policy.default)
            assert isinstance(message, EmailMessage)
            taken_at = asyncio.get_running_loop().time()
            self.mails.append(Mail(envelope.rcpt_tos[0], message, len(envelope.content), taken_at))
            await self.changed()
        await asyncio.sleep(self.seconds_a_mail)
        return "250 OK" if answer is None else await server.instead(answer)


class _Connection(SMTP):
    def __init__(self, handler: SmtpServer) -> None:
        super().__init__(
            handler,
            enable_SMTPUTF8=handler.smtputf8,
            hostname="mail.test",
            data_size_limit=handler.size,
            tls_context=handler.starttls,
            auth_require_tls=handler.password is None,
            authenticator=None if handler.password is None else handler.authenticate,
        )
        self._handler, self.visit = handler, Visit([])
        self._mine: asyncio.BaseTransport | None = None
        self._smtp_methods = {name: self._told(name, method) for name, method in self._smtp_methods.items()}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._mine is None:  # else it is TLS on the connection there is
            self._mine = transport
            self._handler.connections.add(transport)
            self._handler.visits.append(self.visit)
            self._handler.most_at_once = max(self._handler.most_at_once, len(self._handler.connections))
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self._mine in self._handler.connections:
            self._handler.connections.discard(self._mine)
            self._handler.admitted.discard(self._mine)
            self._gone = asyncio.ensure_future(self._handler.changed())
        super().connection_lost(error)

    async def instead(self, answer: str | bytes) -> str | bytes:
        """The reply that was told, if it is one."""
        if answer == HANG_UP:
            self._end()
        if answer in (HANG_UP, SILENCE):
            await asyncio.Event().wait()  # until the connection ends, and this with it
        return answer

    async def _handle_client(self) -> None:
        room, admitted = self._handler.room, self._handler.admitted
        # Those that are turned away take no room: else all of those who come at once would be.
        full = room is not None and len(admitted) >= room
        if not full and self._mine is not None:
            admitted.add(self._mine)
        if await self._answered("CONNECT", "421 4.7.0 too many connections" if full else None):
            self._end()
        else:
            await super()._handle_client()

    def _told(self, step: str, method: Any) -> Any:
        async def answered(argument: str | None) -> None:
            if not await self._answered(step):
                await method(argument)

        return answered

    async def _answered(self, step: str, answer: str | bytes | None = None) -> bool:
        self.visit.commands.append(step)
        await self._handler.changed()
        answer = answer or self._handler.next_answer(step)
        if answer is None:
            return False
        answer = await self.instead(answer)
        await self.push(answer.encode() if isinstance(answer, str) else answer)
        if str(answer).startswith("421"):
            self._end()
        return True

    def _end(self) -> None:
        if self.transport is not None:
            self.transport.close()


@asynccontextmanager
async def smtp_server(**options: Any) -> AsyncIterator[SmtpServer]:
    """A mail server, listening; see `SmtpServer` for the options."""
    server = SmtpServer(**options)
    await server.open()
    try:
        yield server
    finally:
        await server.close()
