"""Why one try to send an email failed, or was not made."""

from dataclasses import dataclass
from datetime import timedelta

# The contract cuts the description of a failed message at 2 KiB; a server's reply may be longer.
_LONGEST = 500


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed try: a reason for programs, a sentence for people, and whether another try can help."""

    reason: str
    description: str
    permanent: bool = False


class TransportError(Exception):
    """A transport could not hand the email over."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


class HeldBackError(Exception):
    """It is not this letter's turn: nothing was tried, and after ``delay`` it may be."""

    def __init__(self, description: str, delay: timedelta) -> None:
        super().__init__(description)
        self.description, self.delay = description, delay


def printable(text: str) -> str:
    """A foreign text as one line to be stored, sent and shown: a server may answer with bytes that are no text."""
    readable = text.encode(errors="replace").decode()
    return " ".join("".join(sign if sign.isprintable() else " " for sign in readable).split())[:_LONGEST]
