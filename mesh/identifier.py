"""Identifiers: UUIDv7, so that they sort by the time they were made (RFC 9562, section 5.7)."""

from collections.abc import Callable
from random import Random, SystemRandom

from mesh.clock import Clock

_COUNTER_BITS = 12


class Identifiers:
    """Makes UUIDv7 strings that only ever grow within one maker, also when the clock stands or goes back.

    The 12 bits after the millisecond count within it (RFC 9562, method 1); an overflow borrows from the next
    millisecond.

    Args:
        clock: the time.
        random: the rest of each.
        after: an identifier that an earlier maker made, all of which these follow, whatever the clock says; empty for
            none.
    """

    def __init__(self, clock: Clock, random: Random | None = None, *, after: str = "") -> None:
        self._clock = clock
        self._random: Callable[[int], int] = (random or SystemRandom()).getrandbits
        self._last = (int(after[:8] + after[9:13], 16) << _COUNTER_BITS | int(after[15:18], 16)) if after else 0

    def __call__(self) -> str:
        """The next identifier."""
        self._last = max(self._last + 1, (self._clock.now() // 1_000) << _COUNTER_BITS)
        milliseconds, counter = self._last >> _COUNTER_BITS, self._last & 0xFFF
        tail = self._random(62) | (1 << 63)
        head = f"{milliseconds:012x}"
        end = f"{tail:016x}"
        return f"{head[:8]}-{head[8:]}-7{counter:03x}-{end[:4]}-{end[4:]}"
