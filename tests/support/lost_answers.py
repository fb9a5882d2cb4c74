"""A TCP proxy in front of a gRPC server that loses answers: a call goes through, and its connection breaks instead."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

from tests.support.black_hole import Proxy, Way, listening

# A frame of HTTP/2 (RFC 9113, 4.1): three bytes of length, one of type, then flags and stream.
_HEAD = 9
_DATA, _HEADERS = 0, 1


class Frames:
    """Finds where answers are in what an HTTP/2 server sends."""

    def __init__(self) -> None:
        self._head = b""
        self._left = 0

    def answer_in(self, data: bytes) -> bool:
        """Whether a frame that belongs to a call's answer begins in these bytes."""
        found = False
        while data:
            if self._left:
                passed = min(self._left, len(data))
                self._left -= passed
                data = data[passed:]
                continue
            missing = _HEAD - len(self._head)
            self._head, data = self._head + data[:missing], data[missing:]
            if len(self._head) == _HEAD:
                self._left = int.from_bytes(self._head[:3], "big")
                found = found or self._head[3] in (_DATA, _HEADERS)
                self._head = b""
        return found


class LossyProxy(Proxy):
    """Passes bytes on in both directions, and breaks a connection where an answer comes up that is to be lost.

    Args:
        target: where the server listens.
        gaps: how many pieces of answers pass before the next one is lost.
    """

    def __init__(self, target: str, gaps: Iterator[int]) -> None:
        super().__init__(target)
        self._gaps = gaps
        self._passing = next(gaps)
        self.lost = 0
        """How many answers did not arrive."""

    def passes(self, way: Way) -> Callable[[bytes], bool]:
        """Looks for answers in what comes from the server."""
        if way is Way.TO_SERVER:
            return super().passes(way)
        frames = Frames()
        return lambda data: not frames.answer_in(data) or self._answer_passes()

    def _answer_passes(self) -> bool:
        self._passing -= 1
        if self._passing >= 0:
            return True
        self._passing = next(self._gaps)
        self.lost += 1
        return False


@asynccontextmanager
async def losing_answers(target: str, gaps: Iterator[int]) -> AsyncIterator[LossyProxy]:
    """A proxy in front of ``target``."""
    async with listening(LossyProxy(target, gaps)) as proxy:
        yield proxy
