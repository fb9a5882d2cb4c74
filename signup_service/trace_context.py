"""Trace context (W3C): one trace from the registration to the email, across the queue."""

import re
from collections.abc import Iterable
from random import Random

#: The metadata key and message attribute that carries it.
TRACEPARENT = "traceparent"

_PARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def incoming_trace_id(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    """The trace that a call belongs to; empty when it says none, or none that is well formed."""
    for key, value in metadata:
        if key == TRACEPARENT and isinstance(value, str) and (match := _PARENT.fullmatch(value)):
            return match[1]
    return ""


class Tracer:
    """Makes the ids of traces and of the steps in them."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def trace_id(self) -> str:
        """A new trace."""
        return f"{self._random.getrandbits(128) or 1:032x}"

    def parent(self, trace_id: str) -> str:
        """The ``traceparent`` of a new step in a trace."""
        return f"00-{trace_id}-{self._random.getrandbits(64) or 1:016x}-01"
