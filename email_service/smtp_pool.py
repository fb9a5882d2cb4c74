"""The connections to a mail server: so many at most, kept while they are used, handed out in the order of asking."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from email_service.failure import HeldBackError
from email_service.smtp_connection import SmtpConnection
from email_service.smtp_outcome import is_full
from mesh.clock import SECOND, Clock, Timer
from mesh.telemetry import get_logger

log = get_logger(__name__)

#: How long a connection is kept that nobody uses: well below the five minutes for which a server has to bear silence
#: (RFC 5321, 4.5.3.2.7), so that it is this side that ends it, and politely.
IDLE = 60 * SECOND
#: How long a server that wants no further connection is not asked for one.
NARROW = 60 * SECOND
# When a caller comes back whose deadline was too near for any connection to be free.
_BUSY_DELAY = timedelta(seconds=1)


class SmtpPool:
    """Hands out connections.

    Args:
        connections: all there are, none of them open.
        clock: for how long one is kept.
    """

    def __init__(self, connections: Sequence[SmtpConnection], clock: Clock) -> None:
        self._most, self._clock = len(connections), clock
        self._free = list(connections)
        self._timers: dict[SmtpConnection, Timer] = {}
        self._goodbyes: set[asyncio.Task[None]] = set()
        self._line = asyncio.Lock()
        self._news = asyncio.Event()
        self._narrow, self._narrow_until = self._most, 0

    @asynccontextmanager
    async def connection(self, patience: float | None) -> AsyncIterator[SmtpConnection]:
        """A connection for one letter, open or not.

        Args:
            patience: seconds to wait for it; None for as long as it takes.

        Raises:
            HeldBackError: none was free in time.
        """
        try:
            async with asyncio.timeout(patience), self._line:
                connection = await self._next()
        except TimeoutError as error:
            raise HeldBackError("every connection to the mail server is in use", _BUSY_DELAY) from error
        try:
            yield connection
        finally:
            self._give_back(connection)

    def narrow(self, error: Exception) -> bool:
        """Make do with the connections there are for a while, if a further one failed because the server is full."""
        others = self._in_use() - 1
        if others < 1 or not is_full(error):
            return False
        self._narrow, self._narrow_until = others, self._clock.now() + NARROW
        log.warning("fewer connections are used for a while", action="smtp_pool_narrowed", connections=others)
        return True

    async def close(self) -> None:
        """Say goodbye on every connection that nobody uses; safe twice."""
        for connection in tuple(self._free):
            self._say_goodbye(connection)
        while self._goodbyes:
            await asyncio.wait(set(self._goodbyes))

    async def _next(self) -> SmtpConnection:
        while (found := self._found()) is None:
            self._news.clear()
            await self._news.wait()
        self._free.remove(found)
        if (timer := self._timers.pop(found, None)) is not None:
            timer.cancel()
        return found

    def _found(self) -> SmtpConnection | None:
        """The open one that was used last, else one to be opened."""
        for connection in reversed(self._free):
            if connection.is_open:
                return connection
        allowed = self._most if self._clock.now() >= self._narrow_until else self._narrow
        return self._free[-1] if self._free and self._in_use() < allowed else None

    def _in_use(self) -> int:
        """How many connections the server sees, or will see in a moment."""
        return self._most - sum(not connection.is_open for connection in self._free)

    def _give_back(self, connection: SmtpConnection) -> None:
        if connection.is_open and connection.is_worn:
            self._begin_goodbye(connection)
            return
        self._free.append(connection)
        self._news.set()
        if connection.is_open:
            self._timers[connection] = self._clock.call_after(IDLE, lambda: self._say_goodbye(connection))

    def _say_goodbye(self, connection: SmtpConnection) -> None:
        """End one that nobody uses; it is free again once the server has seen it go."""
        if connection.is_open:
            self._free.remove(connection)
            self._begin_goodbye(connection)
        if (timer := self._timers.pop(connection, None)) is not None:
            timer.cancel()

    def _begin_goodbye(self, connection: SmtpConnection) -> None:
        task = asyncio.create_task(self._quit(connection))
        self._goodbyes.add(task)
        task.add_done_callback(self._goodbyes.discard)

    async def _quit(self, connection: SmtpConnection) -> None:
        await connection.quit()
        self._free.append(connection)
        self._news.set()
