"""Deadlines that travel inwards: a call made while serving a call ends before its caller stops waiting.

gRPC for Python does not do this by itself; the server side notes the deadline, the client side reads it.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

# What is kept back for the answer's own way to the caller, in seconds.
MARGIN = 0.01

_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


def note(remaining: float | None) -> None:
    """Note that the call being served must be answered within ``remaining`` seconds; None: whenever."""
    _deadline.set(None if remaining is None else time.monotonic() + remaining)


def remaining() -> float | None:
    """Seconds left for a call made now, at least 0; None when nothing limits it."""
    deadline = _deadline.get()
    return None if deadline is None else max(0.0, deadline - time.monotonic() - MARGIN)


def bounded(timeout: float | None) -> float | None:
    """The smaller of a call's own timeout and what the call being served has left; None when neither limits it."""
    left = remaining()
    if left is None:
        return timeout
    return left if timeout is None else min(timeout, left)


@contextmanager
def detached() -> Iterator[None]:
    """Work begun in here outlives the call being served, so that call's deadline does not bind it."""
    token = _deadline.set(None)
    try:
        yield
    finally:
        _deadline.reset(token)
