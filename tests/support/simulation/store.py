"""A store whose commits can fail in every way that a caller can be left with."""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from random import Random
from typing import Any

from mesh.errors import Unavailable
from queue_service.queue_definition import Queue
from queue_service.redrive import RedriveTask
from queue_service.storage.base import MessageStore
from queue_service.storage.verbs import Send, Verb
from tests.support.simulation.plan import Weather


class Fault(Enum):
    """What becomes of a commit.

    BUSY, and nothing happened; REFUSED, each verb by itself, and some not; UNKNOWN, and all of it happened; DONE_AGAIN,
    for want of an answer, verb by verb.
    """

    BUSY = "busy"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    DONE_AGAIN = "done again"


#: Told of every commit: what was done, and with what results, whatever the broker is told.
Committed = Callable[[Verb[Any], Any], None]


class SimulatedStore:
    """A store behind a disk or a network that fails by chance; see `queue_service.storage.base`."""

    def __init__(
        self, store: MessageStore, secret: bytes, weather: Weather, chance: Random, committed: Committed
    ) -> None:
        self.secret, self.weather = secret, weather
        self.faults = 0
        self._store, self._chance, self._committed = store, chance, committed

    @property
    def newest_id(self) -> str:
        return self._store.newest_id

    @property
    def queues(self) -> Mapping[str, Queue]:
        return self._store.queues

    @property
    def redrive_tasks(self) -> Mapping[str, RedriveTask]:
        return self._store.redrive_tasks

    def close(self) -> None:
        self._store.close()

    def apply(self, batch: Sequence[Verb[Any]]) -> list[Any]:
        match self._fault():
            case Fault.BUSY:
                raise _unavailable("the storage is busy")
            case Fault.REFUSED:
                return [self._perhaps(verb) for verb in batch]
            case Fault.DONE_AGAIN if len(batch) > 1:
                self._done(batch)
                return [self._again(verb) for verb in batch]
            case Fault.UNKNOWN | Fault.DONE_AGAIN:
                self._done(batch)
                raise _unavailable("nobody knows")
            case None:
                return self._done(batch)

    def look(self, verb: Verb[Any]) -> Any:
        """What a look shows that the broker knows nothing of."""
        (result,) = self._store.apply([verb])
        return result

    def _fault(self) -> Fault | None:
        weather, draw = self.weather, self._chance.random()
        for fault, share in (
            (Fault.BUSY, weather.busy),
            (Fault.REFUSED, weather.refused),
            (Fault.UNKNOWN, weather.unknown),
            (Fault.DONE_AGAIN, weather.done_again),
        ):
            if draw < share:
                self.faults += 1
                return fault
            draw -= share
        return None

    def _done(self, batch: Sequence[Verb[Any]]) -> list[Any]:
        results = self._store.apply(batch)
        for verb, result in zip(batch, results, strict=True):
            self._committed(verb, result)
        return results

    def _perhaps(self, verb: Verb[Any]) -> Any:
        if self._chance.random() < 0.5:
            return _unavailable("the transaction could not be serialised")
        return self._done([verb])[0]

    def _again(self, verb: Verb[Any]) -> Any:
        if isinstance(verb, Send) and not verb.request_id and not all(each.deduplication_id for each in verb.messages):
            return _unavailable("the message is there already")  # so says its primary key
        return self._done([verb])[0]


def _unavailable(said: str) -> Unavailable:
    return Unavailable("STORAGE_UNAVAILABLE", said)
