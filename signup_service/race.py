"""The race that runners register for."""

from dataclasses import dataclass
from datetime import UTC, datetime

from mesh.clock import microseconds

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Race:
    """What a confirmation says about the race; ``start`` is an instant."""

    name: str
    start: int
    location: str

    @classmethod
    def at(cls, name: str, start: datetime, location: str) -> "Race":
        """The race, its start given with an offset from UTC."""
        return cls(name, microseconds(start - _EPOCH), location)
