"""How a mail server misbehaves: what it answers to a recipient, decided by what it was told and by a seed.

Kept as a file, so that it can change while the server runs: a mailbox breaks, and is repaired.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

#: What a mail that is refused by its share is answered with.
TRY_AGAIN_LATER = "451 4.3.0 Try again later"

_SPAN = 1 << 64


@dataclass(frozen=True)
class Refusal:
    """A recipient who is refused: with ``reply``, at the first ``tries``, or for ever when that is None."""

    recipient: str
    reply: str
    tries: int | None = None


@dataclass(frozen=True)
class Manners:
    """All of a server's manners.

    Args:
        seconds_a_mail: between the end of a mail and the answer to it.
        share_refused: of the mails, from 0 to 1, that are answered `TRY_AGAIN_LATER` after those seconds.
        seed: decides which ones.
        refusals: of recipients, at once.
        twice: note every mail twice, though it came once: a lie.
    """

    seconds_a_mail: float = 0.0
    share_refused: float = 0.0
    seed: int = 0
    refusals: tuple[Refusal, ...] = ()
    twice: bool = False

    def to_recipient(self, recipient: str, attempt: int) -> str | None:
        """The refusal of a recipient at the ``attempt``-th try, counted from 1; None: go on."""
        for refusal in self.refusals:
            if refusal.recipient == recipient and (refusal.tries is None or attempt <= refusal.tries):
                return refusal.reply
        return None

    def to_mail(self, recipient: str, attempt: int) -> str | None:
        """The refusal of a mail; None: it is taken.

        Recipients whose addresses differ behind the @ alone have one fate, whenever and in whatever order they come.
        """
        drawn = hashlib.sha256(f"{self.seed}/{recipient.partition('@')[0]}/{attempt}".encode()).digest()
        return TRY_AGAIN_LATER if int.from_bytes(drawn[:8]) < self.share_refused * _SPAN else None

    def write(self, path: Path) -> None:
        """Put the file there whole."""
        whole = path.with_suffix(".new")
        whole.write_text(json.dumps(asdict(self)), encoding="utf-8")
        whole.replace(path)

    @classmethod
    def read(cls, path: Path) -> "Manners":
        """What `write` wrote."""
        found = json.loads(path.read_text(encoding="utf-8"))
        refusals = tuple(Refusal(**refusal) for refusal in found.pop("refusals"))
        return cls(**found | {"refusals": refusals})
