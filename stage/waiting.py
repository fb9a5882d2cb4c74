"""The one place that polls: across a process boundary some conditions have no event to wait for."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

_INTERVAL = 0.05


async def until(
    look: Callable[[], Awaitable[T]], holds: Callable[[T], bool], *, within: float, every: float = _INTERVAL
) -> T:
    """What ``look`` finds as soon as ``holds`` says so of it, or its last finding when the time is up."""
    loop = asyncio.get_running_loop()
    end = loop.time() + within
    found = await look()
    while not holds(found) and loop.time() < end:
        await asyncio.sleep(every)
        found = await look()
    return found
