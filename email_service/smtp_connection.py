"""One connection to a mail server, opened when it is needed and kept from letter to letter."""

import asyncio
import re
from contextlib import suppress

import aiosmtplib
from aiosmtplib.protocol import normalize_message_line_endings

from email_service.letter import Letter
from email_service.smtp_access import SmtpAccess, access_step
from email_service.smtp_outcome import LetterTooLargeError, is_refusal

# Seconds for a polite end; the server loses nothing without it.
_QUIT_TIMEOUT = 1.0
# The answer to a whole letter may take twice as long as any other (RFC 5321, 4.5.3.2: ten minutes, else five): who
# gives up on it sends the email a second time.
_PATIENCE_AFTER_LETTER = 2
_START_INPUT = 354
_LEADING_DOT = re.compile(rb"(?m)^\.")


class SmtpConnection:
    """Hands letters over, one at a time.

    Args:
        access: opens it.
        letters: how many it carries before it is opened anew.
    """

    def __init__(self, access: SmtpAccess, letters: int) -> None:
        self._access, self._most = access, letters
        self._client: aiosmtplib.SMTP | None = None
        self._letters = 0
        self._unfinished = False
        self.transferred = False
        """Whether the letter in hand, or the last one, was sent whole."""

    @property
    def is_open(self) -> bool:
        """Whether there is a connection that nobody has ended."""
        return self._client is not None and self._client.is_connected

    @property
    def is_worn(self) -> bool:
        """Whether it has carried its letters."""
        return self._letters >= self._most

    async def open(self) -> None:
        """Make the connection, if there is none.

        Raises:
            SMTPException, OSError: there is no way in.
        """
        if not self.is_open:
            self._client, self._letters, self._unfinished = await self._access.open(), 0, False

    async def hand_over(self, letter: Letter) -> None:
        """Hand one letter over; afterwards the connection is ready for the next one, or closed.

        Raises:
            SMTPException, OSError: it was refused, or nobody knows.
        """
        kept, self.transferred = self._letters > 0, False
        try:
            try:
                await self._address(letter)
            except (aiosmtplib.SMTPException, ConnectionError) as error:
                if not kept or self.is_open or isinstance(error, TimeoutError):
                    raise
                await self.open()  # the kept one had ended, or ended with a 421, before the server saw the letter
                await self._address(letter)
            # A connection that breaks from here on leaves open whether the server has the letter: no second try within
            # this one. The caller's repeat carries the same Message-ID.
            await self._transfer(letter)
        except BaseException as error:
            if not isinstance(error, Exception) or not is_refusal(error):
                self.close()  # an answer may be under way that the next letter would take for its own
            raise

    def close(self) -> None:
        """End the connection at once."""
        if self._client is None:
            return
        if isinstance(self._client.transport, asyncio.WriteTransport):
            self._client.transport.abort()  # what is not sent yet must not leave later, nor keep the socket
        self._client.close()
        self._client = None

    async def quit(self) -> None:
        """Say goodbye, and end the connection."""
        if self._client is not None and self._client.is_connected:
            with suppress(aiosmtplib.SMTPException, OSError):  # it is gone already
                await self._client.quit(timeout=_QUIT_TIMEOUT)
        self.close()

    def _usable(self) -> aiosmtplib.SMTP:
        if self._client is None:
            raise aiosmtplib.SMTPServerDisconnected("not connected")
        return self._client

    async def _address(self, letter: Letter) -> None:
        client = self._usable()
        options, encoding = _options(client, letter), "utf-8" if letter.smtputf8 else "ascii"
        if self._unfinished:
            await self._forget_letter(client)
        self._letters += 1
        self._unfinished = True
        with access_step("MAIL"):
            await client.mail(letter.sender, options=options, encoding=encoding)
        await client.rcpt(letter.recipient, encoding=encoding)

    async def _forget_letter(self, client: aiosmtplib.SMTP) -> None:
        try:
            await client.rset()
        except aiosmtplib.SMTPResponseException:
            self.close()
            raise

    async def _transfer(self, letter: Letter) -> None:
        client = self._usable()
        answer = await client.execute_command(b"DATA")
        protocol = client.protocol
        if answer.code != _START_INPUT or protocol is None:
            raise aiosmtplib.SMTPDataError(answer.code, answer.message)
        protocol.write(_LEADING_DOT.sub(b"..", normalize_message_line_endings(letter.message)) + b".\r\n")
        self.transferred = True
        answer = await protocol.read_response(timeout=self._access.timeout * _PATIENCE_AFTER_LETTER)
        # The first digit decides (RFC 5321, 4.2); to take another 2xx for a refusal would send the email twice.
        if answer.code not in range(200, 300):
            raise aiosmtplib.SMTPDataError(answer.code, answer.message)
        self._unfinished = False


def _options(client: aiosmtplib.SMTP, letter: Letter) -> list[str]:
    """The parameters of MAIL FROM; raises where the server cannot take the letter at all."""
    options = []
    if client.supports_extension("size"):
        size, most = len(normalize_message_line_endings(letter.message)), client.esmtp_extensions["size"].strip()
        if most.isdecimal() and 0 < int(most) < size:  # 0 says that there is no fixed limit
            raise LetterTooLargeError(int(most))
        options.append(f"SIZE={size}")
    if letter.smtputf8:
        if not client.supports_extension("smtputf8"):
            raise aiosmtplib.SMTPNotSupported("SMTPUTF8")
        options.append("SMTPUTF8")
    return options
