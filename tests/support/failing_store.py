"""A store that fails, or keeps everybody waiting, while it is told to."""

import threading
from collections.abc import Sequence
from typing import Any

from mesh.errors import Unavailable
from queue_service.storage import verbs
from queue_service.storage.memory import MemoryStore


class FailingStore(MemoryStore):
    """What is applied while it fails is not done."""

    failing: type[verbs.Verb[Any]] | None = None
    """Verbs of this class fail, and all that come with them."""

    def apply(self, batch: Sequence[verbs.Verb[Any]]) -> list[Any]:
        if self.failing is not None and any(isinstance(verb, self.failing) for verb in batch):
            raise Unavailable("STORAGE_UNAVAILABLE", "the disk is away")
        return super().apply(batch)


class HeldStore(MemoryStore):
    """Waits before a verb of the class that is held, until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self._held: type[verbs.Verb[Any]] | None = None
        self.reached, self.let_go = threading.Event(), threading.Event()

    def hold(self, verb: type[verbs.Verb[Any]]) -> None:
        self._held = verb

    def apply(self, batch: Sequence[verbs.Verb[Any]]) -> list[Any]:
        if self._held is not None and any(isinstance(verb, self._held) for verb in batch):
            self.reached.set()
            self.let_go.wait()
        return super().apply(batch)
