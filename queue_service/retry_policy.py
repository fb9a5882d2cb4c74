"""When a failed message comes back: one pure function for every kind of failure.

Exponential back-off with proportional jitter: ``min(initial * multiplier^(failures - 1), max)``, spread evenly over
``+- jitter`` of itself. The spread comes from the message's own random bits, so a decision can be replayed.
"""

from queue_service.queue_definition import RetryPolicy

_MASK = (1 << 64) - 1


def is_final(policy: RetryPolicy, failures: int) -> bool:
    """Whether ``failures`` failed attempts are all that the policy allows: retries + 1."""
    return failures > policy.max_retries


def retry_delay(policy: RetryPolicy, failures: int, spread: float) -> int:
    """Microseconds to wait after the ``failures``-th failure; ``spread`` in [0, 1) places it within the jitter."""
    # A float overflows at 2^1024, which 1,000 retries can reach; the longest delay is long since passed by then.
    exponent = min(failures - 1, 128)
    plain = min(policy.initial_delay * policy.multiplier**exponent, float(policy.max_delay))
    return round(plain * (1 + policy.jitter * (2 * spread - 1)))


def spread_of(message_id: str, failures: int) -> float:
    """An even spread over [0, 1), different for each message and failure (the finaliser of SplitMix64)."""
    value = (int(message_id[-12:], 16) + failures * 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return ((value ^ (value >> 31)) >> 11) / (1 << 53)
