"""The database's time, kept between two looks at it by a clock that nobody sets."""

from collections import deque
from collections.abc import Callable

from mesh.clock import SystemClock, steady

#: Looks that are remembered: of these, the one that took the least time errs least.
LOOKS = 8


class DatabaseClock(SystemClock):
    """What the database's clock says, as far as one can know: wrong by half a look's round trip at most.

    The machine's own wall clock is not asked, so it may err by any amount.
    """

    def __init__(self, monotonic: Callable[[], int] = steady) -> None:
        self._steady = monotonic
        self._looks: deque[tuple[int, int]] = deque(maxlen=LOOKS)
        self._offset = 0

    @property
    def error(self) -> int:
        """By how much it may be wrong at most."""
        return min(self._looks)[0] if self._looks else 0

    def measured(self, asked: int, now: int, answered: int) -> None:
        """The database said ``now`` between these two instants of the steady clock."""
        error, offset = (answered - asked + 1) // 2, now - (asked + answered) // 2
        if self._looks and abs(offset - self._offset) > error + self.error:  # its clock was set, or is another's now
            self._looks.clear()
        self._looks.append((error, offset))
        self._offset = min(self._looks)[1]

    def now(self) -> int:
        """This instant by the database's clock."""
        return self._steady() + self._offset
