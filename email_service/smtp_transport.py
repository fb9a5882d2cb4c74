"""Mail over SMTP: one connection, kept between letters, one letter at a time."""

import asyncio
from contextlib import suppress
from datetime import timedelta

import aiosmtplib

from email_service.failure import TransportError
from email_service.letter import Letter
from email_service.smtp_outcome import classify
from email_service.smtp_url import SmtpServer

# Seconds for a polite end; the server loses nothing without it.
_QUIT_TIMEOUT = 1.0


class SmtpTransport:
    """A client of one mail server.

    Args:
        server: where to, and as whom.
        timeout: the longest wait for one answer.
    """

    def __init__(self, server: SmtpServer, timeout: timedelta) -> None:
        self._client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.username,
            password=server.password,
            use_tls=server.tls,
            start_tls=False if server.tls else None,
            timeout=timeout.total_seconds(),
        )
        self._turn = asyncio.Lock()

    async def send(self, letter: Letter) -> None:
        """Hand one letter to the mail server, once the letters before it are through."""
        async with self._turn:
            try:
                await self._converse(letter)
            except (aiosmtplib.SMTPException, OSError) as error:
                await self._clear()
                raise TransportError(classify(error)) from error
            except BaseException:
                self._client.close()  # an answer may be under way that the next letter would take for its own
                raise

    async def close(self) -> None:
        """Say goodbye to the mail server."""
        if self._client.is_connected:
            with suppress(aiosmtplib.SMTPException, OSError):  # it is gone already
                await self._client.quit(timeout=_QUIT_TIMEOUT)
        self._client.close()

    async def _converse(self, letter: Letter) -> None:
        kept = self._client.is_connected
        if not kept:
            await self._client.connect()
        try:
            await self._address(letter)
        except aiosmtplib.SMTPException:
            if not kept or self._client.is_connected:
                raise
            await (
                self._client.connect()
            )  # the kept one had ended, or ended with a 421, before the server saw the letter
            await self._address(letter)
        # A connection that breaks from here on leaves open whether the server has the letter: no second try within
        # this one. The caller's repeat carries the same Message-ID.
        await self._client.data(letter.message)

    async def _address(self, letter: Letter) -> None:
        options, encoding = [], "ascii"
        if letter.smtputf8:
            if not self._client.supports_extension("smtputf8"):
                raise aiosmtplib.SMTPNotSupported("SMTPUTF8")
            options, encoding = ["SMTPUTF8"], "utf-8"
        await self._client.mail(letter.sender, options=options, encoding=encoding)
        await self._client.rcpt(letter.recipient, encoding=encoding)

    async def _clear(self) -> None:
        """Leave the connection ready for the next letter, or closed."""
        if not self._client.is_connected:
            return
        try:
            await self._client.rset()
        except (aiosmtplib.SMTPException, OSError):
            self._client.close()
