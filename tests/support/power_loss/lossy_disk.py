"""The data folder of a broker on a disk that forgets, fills up and fails as it is told."""

import asyncio
import random
import signal
from pathlib import Path

from tests.support.power_loss.replay import lose_power
from tests.support.preload import built
from tests.support.processes import MeshProcesses

SOURCE = Path(__file__).with_name("lossy_disk.c")


class LossyDisk:
    """What happens to the data of a mesh's broker, once it is started.

    Args:
        mesh: its broker is not started yet.
        chance: decides when the power goes, and what was on its way to the disk.
        lies: whether a sync does nothing.
    """

    def __init__(self, mesh: MeshProcesses, chance: random.Random, *, lies: bool = False) -> None:
        self._mesh, self._chance = mesh, chance
        self._data, self._logs = mesh.folder / "data", mesh.folder / "unsynced"
        self._switch, self._fault, self._room = (mesh.folder / name for name in ("power-goes", "fault", "room"))
        self._logs.mkdir()
        mesh.environment |= {
            "LD_PRELOAD": str(built(SOURCE, mesh.folder)),
            "LOSSY_FOLDER": str(self._data),
            "LOSSY_LOG": str(self._logs),
            "LOSSY_CUT": str(self._switch),
            "LOSSY_FAILS": str(self._fault),
            **({"LOSSY_LIES": "1"} if lies else {}),
        }

    def has_room(self, size: int) -> None:
        """Let all files together have so many bytes at most; from before the start, and changed at any time."""
        self._mesh.environment["LOSSY_ROOM"] = str(self._room)
        unfinished = self._room.with_suffix(".new")
        unfinished.write_text(str(size))
        unfinished.rename(self._room)

    def fail(self) -> None:
        """Let every sync fail from now on."""
        self._fault.touch()

    def mend(self) -> None:
        """Let syncs work again."""
        self._fault.unlink()

    async def cut(self, within: tuple[float, float]) -> int:
        """Let the power go where a sync is due, in a moment; how many changes were lost."""
        await asyncio.sleep(self._chance.uniform(*within))
        self._switch.touch()
        code = await self._mesh.queue.ended()
        assert code == -signal.SIGKILL
        self._switch.unlink()
        return self.lose(kept=0.5)

    def lose(self, *, kept: float) -> int:
        """Undo what was not synced, but for a share that is ``kept``; how many changes were lost."""
        return lose_power(self._data, self._logs, self._chance, kept=kept)
