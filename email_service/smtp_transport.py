"""Mail over SMTP: several connections to one server, and a rate that letters do not exceed."""

from datetime import timedelta

import aiosmtplib

from email_service.failure import TransportError
from email_service.letter import Letter
from email_service.send_rate import SendRate
from email_service.smtp_access import SmtpAccess
from email_service.smtp_connection import SmtpConnection
from email_service.smtp_outcome import classify
from email_service.smtp_pool import SmtpPool
from email_service.smtp_url import SmtpServer, Tls
from mesh import deadline
from mesh.clock import Clock


class SmtpTransport:
    """A client of one mail server.

    Args:
        pool: the connections to it.
        rate: of letters, over all connections.
    """

    def __init__(self, pool: SmtpPool, rate: SendRate) -> None:
        self._pool, self._rate = pool, rate

    async def send(self, letter: Letter) -> None:
        """Hand one letter to the mail server, on its turn; a caller's deadline bounds the wait, never the handing over.

        Raises:
            HeldBackError: its turn is too far away.
            TransportError: it was not handed over, or nobody knows.
        """
        with self._rate.admitted(letter.email_id):
            while not await self._handed_over(letter):
                pass  # the server wants no further connection: one of the others will be free

    async def close(self) -> None:
        """Say goodbye to the mail server; safe twice."""
        await self._pool.close()

    async def _handed_over(self, letter: Letter) -> bool:
        async with self._pool.connection(deadline.remaining()) as connection:
            try:
                await connection.open()
            except (aiosmtplib.SMTPException, OSError) as error:
                if self._pool.narrow(error):
                    return False
                raise TransportError(classify(error)) from error
            await self._rate.turn(letter.email_id)
            try:
                await connection.hand_over(letter)
            except (aiosmtplib.SMTPException, OSError) as error:
                raise TransportError(classify(error, transferred=connection.transferred)) from error
        return True


def smtp_transport(
    server: SmtpServer,
    clock: Clock,
    *,
    timeout: timedelta,
    tls: Tls,
    connections: int,
    letters: int,
    rate: float | None,
) -> SmtpTransport:
    """The transport to a server.

    Args:
        server: where to, and as whom.
        clock: for the rate, and for how long connections are kept.
        timeout: the longest wait for one answer.
        tls: whether a server without STARTTLS is of use.
        connections: the most at a time.
        letters: the most that one connection carries.
        rate: the most letters a second; None for as many as there are.
    """
    access = SmtpAccess(server, timeout, tls)
    pool = SmtpPool([SmtpConnection(access, letters) for _ in range(connections)], clock)
    return SmtpTransport(pool, SendRate(rate, clock))
