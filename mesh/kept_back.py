"""What must not be forgotten because the storage is away for a while."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from mesh.clock import Clock, microseconds, sleep
from mesh.errors import ResourceExhausted, Unavailable
from mesh.telemetry import get_logger

T = TypeVar("T")

log = get_logger(__name__)

#: Wait before the storage is asked again.
PAUSE = timedelta(seconds=1)


async def until_stored(store: Callable[[], Awaitable[T]], clock: Clock) -> T:
    """What ``store`` comes to, called again as long as the storage is full or cannot be used."""
    told = False
    while True:
        try:
            return await store()
        except (ResourceExhausted, Unavailable) as error:
            if not told:
                log.warning("an outcome waits for the storage", action="outcome_kept_back", reason=error.reason)
                told = True
        await sleep(clock, microseconds(PAUSE))
