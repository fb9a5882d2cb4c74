"""The way into a mail server: connection, greeting, TLS, login."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import aiosmtplib

from email_service.smtp_outcome import TlsMissingError, classify, needs_attention
from email_service.smtp_url import SmtpServer, Tls
from mesh.telemetry import get_logger

log = get_logger(__name__)


class SmtpAccess:
    """Opens connections to one server.

    Args:
        server: where to, and as whom.
        timeout: the longest wait for one answer.
        tls: whether STARTTLS is taken when it is offered, or a server without it is of no use.
    """

    def __init__(self, server: SmtpServer, timeout: timedelta, tls: Tls) -> None:
        self._server, self.timeout = server, timeout.total_seconds()
        # Whoever sits in between can take the offer of STARTTLS away, and would then read the password.
        self._tls_required = tls == "required" or (server.username is not None and not server.is_loopback)
        self._own_name: str | None = None

    async def open(self) -> aiosmtplib.SMTP:
        """A connection that is ready for letters.

        Raises:
            SMTPException, OSError: there is no way in.
        """
        client = self._client()
        try:
            for step, act in (
                ("CONNECT", self._connect),
                ("EHLO", self._introduce),
                ("STARTTLS", self._secure),
                ("AUTH", self._log_in),
            ):
                with access_step(step):
                    await act(client)
        except BaseException:
            client.close()
            raise
        return client

    def _client(self) -> aiosmtplib.SMTP:
        server = self._server
        return aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            use_tls=server.tls,
            start_tls=False,
            timeout=self.timeout,
            local_hostname=self._own_name,
        )

    async def _connect(self, client: aiosmtplib.SMTP) -> None:
        await client.connect()
        self._own_name = client.local_hostname  # finding it out can take as long as the name server likes

    async def _introduce(self, client: aiosmtplib.SMTP) -> None:
        try:
            await client.ehlo()
        except aiosmtplib.SMTPHeloError:
            if not client.is_connected:
                raise
            await client.helo()

    async def _secure(self, client: aiosmtplib.SMTP) -> None:
        if self._server.tls:
            return
        if client.supports_extension("starttls"):
            await client.starttls()
            await self._introduce(client)  # what was said before TLS counts no more (RFC 3207, 4.2)
        elif self._tls_required:
            raise TlsMissingError

    async def _log_in(self, client: aiosmtplib.SMTP) -> None:
        if self._server.username is not None:
            await client.login(self._server.username, self._server.password or "")


@contextmanager
def access_step(step: str) -> Iterator[None]:
    """What is done in here is one step of a conversation; the log says so when it is the one that keeps us out."""
    try:
        yield
    except (aiosmtplib.SMTPException, OSError) as error:
        if needs_attention(error):  # never the server's own words: they may hold an address
            facts = {"step": step, "reason": classify(error).reason}
            log.error("the mail server does not let this service in", action="smtp_access_refused", **facts)
        raise
