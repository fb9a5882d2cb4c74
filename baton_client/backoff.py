"""How long to wait before another try: exponential, with full jitter below a ceiling.

See https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/ for why the whole of it is drawn by lot:
many clients that lost the same broker must not come back at the same moment.
"""

from collections.abc import Callable
from datetime import timedelta

#: Seconds: the first ceiling, doubled with each failure up to the last.
FIRST = 0.1
LAST = 5.0


def wait_after(failures: int, random: Callable[[], float], asked: timedelta | None = None) -> float:
    """Seconds to wait after that many failures in a row.

    Args:
        failures: 1 or more.
        random: a number in [0, 1).
        asked: what the other side asks for; never less than that.
    """
    ceiling: float = min(LAST, FIRST * 2 ** min(failures - 1, 16))
    # Never less than a tenth: a draw near zero, repeated, would be a hot loop.
    drawn = ceiling * (0.1 + 0.9 * random())
    return drawn if asked is None else asked.total_seconds() + drawn
