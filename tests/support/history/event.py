"""One line of a history. Instants are microseconds since 1970 by the clock of the one machine that all runs on."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path


class What(Enum):
    """What was seen.

    A send is INVOKED, then answered OK, refused with FAILED, or it is UNKNOWN whether it went through. A delivery is
    DELIVERED; its consumer is SETTLING it and told that it is SETTLED, or told that its lease is EXTENDED. ENDING: a
    purge or a cancel is under way that may take the message, and ENDED: a cancel did, or the broker says that it
    dropped it. What a purge took may be on its way to a consumer all the same.
    """

    INVOKED = "invoked"
    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"
    DELIVERED = "delivered"
    SETTLING = "settling"
    SETTLED = "settled"
    EXTENDED = "extended"
    ENDING = "ending"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing seen by one client.

    ``key`` is the sender's name for the message, which travels with it. ``until`` is, of a delivery, when its lease
    runs out and, of a send or a settlement that was answered, the instant before which the message may not come.
    ``how`` is the action of a settlement, and the outcome that the broker answered to it.
    """

    what: What
    at: int
    key: str = ""
    queue: str = ""
    message_id: str = ""
    lease_id: str = ""
    until: int = 0
    how: str = ""
    ordering_key: str = ""


class History:
    """Events in a file, one a line, each on its way to the disk before the next: a killed client leaves what it saw."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1, encoding="utf-8")

    def add(self, event: Event) -> None:
        """Write an event down."""
        self._file.write(json.dumps({**asdict(event), "what": event.what.value}) + "\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read(paths: Iterable[Path]) -> list[Event]:
    """The histories of several clients as one, sorted by time; a last line that a kill cut off is left out."""
    return sorted((event for path in paths for event in _lines(path)), key=lambda event: event.at)


def _lines(path: Path) -> Iterator[Event]:
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.endswith("\n"):
            fields = json.loads(line)
            yield Event(**{**fields, "what": What(fields["what"])})
