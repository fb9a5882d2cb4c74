"""The way out: what the mailer needs of it."""

from typing import Protocol

from email_service.letter import Letter


class Transport(Protocol):
    """Hands letters over, to a mail server or into a folder."""

    async def send(self, letter: Letter) -> None:
        """Hand one letter over; on return it is the receiver's.

        Raises:
            HeldBackError: it was not tried.
            TransportError: it was not handed over, or nobody knows.
        """

    async def close(self) -> None:
        """End the connections, if there are any; safe twice."""
