"""Whoever sends a confirmation right away, without the broker."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from signup_service.outcome import Outcome
from signup_service.registration import Registration


@dataclass(frozen=True, slots=True)
class Answer:
    """What one try came to; after a PENDING one, ``retry_delay`` says when the other side wants to be asked again."""

    outcome: Outcome
    retry_delay: timedelta | None = None


class Mailer(Protocol):
    """Sends the confirmation of a registration, once however often it is asked."""

    async def send(self, registration: Registration, timeout: float) -> Answer:
        """Try to send it within ``timeout`` seconds; a failure is an answer, never an exception."""
