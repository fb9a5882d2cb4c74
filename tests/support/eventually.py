"""The one place that polls: across a process boundary some conditions have no event to wait for."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

# Seconds that anything may take before a test gives up: generous, because it is spent only when something is wrong.
WITHIN = 30.0
_INTERVAL = 0.05


async def eventually(look: Callable[[], Awaitable[T]], holds: Callable[[T], bool], *, within: float = WITHIN) -> T:
    """What ``look`` finds as soon as ``holds`` says so of it; an AssertionError with the last finding otherwise."""
    found = await look()
    try:
        async with asyncio.timeout(within):
            while not holds(found):
                await asyncio.sleep(_INTERVAL)
                found = await look()
    except TimeoutError as error:
        raise AssertionError(f"not so within {within:g} s; last seen: {found}") from error
    return found
