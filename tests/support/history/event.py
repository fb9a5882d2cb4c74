"""One line of a history. Instants are microseconds since 1970 by the clock of the one machine that all runs on."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path


class What(Enum):
    """What was seen.

    A send is INVOKED, then answered OK, refused with FAILED, or it is UNKNOWN whether it went through. A delivery is
    DELIVERED; its consumer is SETTLING it and told that it is SETTLED.
    """

    INVOKED = "invoked"
    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"
    DELIVERED = "delivered"
    SETTLING = "settling"
    SETTLED = "settled"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing seen by one client.

    ``key`` is the sender's name for the message, which travels with it. ``until`` is, of a delivery, when its lease
    runs out and, of a send, the instant before which the message may not be delivered. ``how`` is the action of a
    settlement, and the outcome that the broker answered to it.
    """

    what: What
    at: int
    key: str = ""
    queue: str = ""
    message_id: str = ""
    lease_id: str = ""
    until: int = 0
    how: str = ""


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
