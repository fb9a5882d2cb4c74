"""Places for the emails of batches: so many are sent at a time, whichever batch they came in."""

import asyncio
from collections import deque


class SendingPlaces:
    """Handed out in the order of asking, until no more are.

    Args:
        count: how many there are.
    """

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: deque[asyncio.Future[bool]] = deque()
        self._closed = False

    async def take(self) -> bool:
        """Wait for a place, which `leave` gives back; False when there will be none any more."""
        if self._closed:
            return False
        if self._free:
            self._free -= 1
            return True
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.result():
                self.leave()  # it was given in the moment in which nobody wanted it any more
            raise

    def leave(self) -> None:
        """Give a place back."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(True)
                return
        self._free += 1

    def close(self) -> None:
        """Send those away who wait; safe twice."""
        self._closed = True
        for turn in self._waiting:
            if not turn.done():
                turn.set_result(False)
        self._waiting.clear()
