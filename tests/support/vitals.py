"""What a running process takes: its memory, watched all the time, and its files and threads."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psutil  # type: ignore[import-untyped]  # it ships no types

MIB = 1024 * 1024
_INTERVAL = 0.02


class Vitals:
    """The vital signs of one process, by its id."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self.peak = 0.0
        """The most memory it was seen with since it is watched, in MiB."""

    @property
    def memory(self) -> float:
        """What it has in memory (RSS), in MiB."""
        return float(self._process.memory_info().rss / MIB)

    @property
    def files(self) -> int:
        """File descriptors, sockets among them."""
        return int(self._process.num_fds())

    @property
    def threads(self) -> int:
        """Threads."""
        return int(self._process.num_threads())

    async def watch(self) -> None:
        """Look at its memory until cancelled."""
        while True:
            self.peak = max(self.peak, self.memory)
            await asyncio.sleep(_INTERVAL)


@asynccontextmanager
async def watched(pid: int) -> AsyncIterator[Vitals]:
    """A process whose memory is watched within the block."""
    vitals = Vitals(pid)
    watch = asyncio.create_task(vitals.watch())
    try:
        yield vitals
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
