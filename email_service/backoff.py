"""How long a caller waits before it asks again for an email that could not be sent."""

from datetime import timedelta

FIRST = timedelta(seconds=5)
LONGEST = timedelta(minutes=10)

# 5 s doubled this often is past the longest wait already.
_DOUBLINGS = 7


def backoff(attempts: int) -> timedelta:
    """5 s after the first failed try, doubling, at most 10 min."""
    return min(FIRST * (1 << min(max(attempts, 1) - 1, _DOUBLINGS)), LONGEST)
