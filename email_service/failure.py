"""Why one try to send an email failed."""

from dataclasses import dataclass

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


def printable(text: str) -> str:
    """A foreign text as one line that can be stored and sent: a server may answer with bytes that are no text."""
    return " ".join(text.encode(errors="replace").decode().replace("\0", " ").split())[:_LONGEST]
