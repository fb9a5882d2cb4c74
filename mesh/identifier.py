"""Identifiers: UUIDv7, so that they sort by the time they were made (RFC 9562, section 5.7)."""

import os
import struct
from collections.abc import Callable
from random import Random

from mesh.clock import Clock

_COUNTER_BITS = 12
# The system's randomness is fetched for so many identifiers at once: a call of it takes longer than all the rest.
_DRAWN = struct.Struct("512Q")


class _SystemBits:
    """Random bits of the operating system, 64 at most at a time."""

    def __init__(self) -> None:
        self._left: list[int] = []

    def __call__(self, bits: int) -> int:
        if not self._left:
            self._left.extend(_DRAWN.unpack(os.urandom(_DRAWN.size)))
        return self._left.pop() >> (64 - bits)


class Identifiers:
    """Makes UUIDv7 strings that only ever grow within one maker, also when the clock stands or goes back.

    The 12 bits after the millisecond count within it (RFC 9562, method 1); an overflow borrows from the next
    millisecond.

    Args:
        clock: the time.
        random: the rest of each; None for the operating system's.
        after: an identifier that an earlier maker made, all of which these follow, whatever the clock says; empty for
            none.
    """

    def __init__(self, clock: Clock, random: Random | None = None, *, after: str = "") -> None:
        self._clock = clock
        self._random: Callable[[int], int] = random.getrandbits if random is not None else _SystemBits()
        self._last = (int(after[:8] + after[9:13], 16) << _COUNTER_BITS | int(after[15:18], 16)) if after else 0

    def __call__(self) -> str:
        """The next identifier."""
        self._last = max(self._last + 1, (self._clock.now() // 1_000) << _COUNTER_BITS)
        milliseconds, counter = self._last >> _COUNTER_BITS, self._last & 0xFFF
        tail = self._random(62) | (1 << 63)
        text = f"{milliseconds:012x}7{counter:03x}{tail:016x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
