"""The wall clock of a broker, in a test's hands."""

import time
from pathlib import Path

from tests.support.preload import built
from tests.support.processes import MeshProcesses

SOURCE = Path(__file__).with_name("stepped_clock.c")


class SteppedClock:
    """What the broker of a mesh takes for the time, once it is started; a restart does not change it."""

    def __init__(self, mesh: MeshProcesses) -> None:
        self._file = mesh.folder / "ahead"
        self.ahead = 0
        """Microseconds by which it is ahead of the machine's own."""
        self._file.write_bytes(self._bytes())
        mesh.environment |= {"LD_PRELOAD": str(built(SOURCE, mesh.folder)), "STEPPED_CLOCK": str(self._file)}

    def step(self, microseconds: int) -> None:
        """Set it forward, or back, now."""
        self.ahead += microseconds
        with self._file.open("r+b") as file:  # the broker has mapped these bytes
            file.write(self._bytes())

    def now(self) -> int:
        """This instant by it, in microseconds."""
        return time.time_ns() // 1_000 + self.ahead

    def _bytes(self) -> bytes:
        return self.ahead.to_bytes(8, "little", signed=True)
