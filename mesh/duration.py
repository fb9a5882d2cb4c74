"""Durations as people write them (``5s``, ``1.5h``, ``4d``) and as protobuf carries them."""

import re
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from google.protobuf.duration_pb2 import Duration

_UNITS = {
    "us": 1,
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
}
_WRITTEN = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|h|d)")


def parse_duration(text: str) -> int:
    """Microseconds of ``5s``, ``250ms``, ``1.5h``, ``4d``; raises ValueError saying what is allowed."""
    match = _WRITTEN.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"must be a number and one of us, ms, s, m, h, d, such as 5s; is {text[:64]!r}")
    return int(Decimal(match[1]) * _UNITS[match[2]])


def nanoseconds(duration: "Duration") -> int:
    """A protobuf duration as a plain number."""
    return duration.seconds * 1_000_000_000 + duration.nanos


def duration_text(duration: "Duration") -> str:
    """A protobuf duration as a person would write it, in seconds."""
    seconds = Decimal(nanoseconds(duration)) / 1_000_000_000
    return f"{seconds.normalize():f}s"
