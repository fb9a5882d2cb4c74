"""What was committed, in order: the truth that no client sees, and the broker's own word on what it dropped."""

import re
from typing import Any

from mesh.errors import BatonError
from queue_service.message import Lease as LeaseNumber
from queue_service.storage.verbs import Lease, Send, Verb
from tests.support.history.event import Event, What
from tests.support.simulation.clock import SimulatedClock
from tests.support.simulation.loop import SimulatedLoop
from tests.support.simulation.messages import key_of

# A set shows what is in it in another order in each process.
_SET = re.compile(r"frozenset\(\{(.*?)\}\)")


class Record:
    """The history of all clients, the commits beside it when they are asked for, and what was seen to be wrong."""

    def __init__(self, loop: SimulatedLoop, clock: SimulatedClock, *, commits: bool) -> None:
        self._loop, self._clock, self._commits = loop, clock, commits
        self.events: list[Event] = []
        self.lines: list[str] = []
        self.wrong: list[str] = []
        self._keys: dict[str, str] = {}
        self._sent_at: dict[str, int] = {}
        self._leases: set[LeaseNumber] = set()

    def note(self, what: What, key: str = "", **fields: Any) -> None:
        """Write down what a client saw."""
        event = Event(what, self._clock.latest, key, **fields)
        self.events.append(event)
        self._line(event)

    def accuse(self, said: str) -> None:
        """Write down what must not be."""
        if said not in self.wrong:
            self.wrong.append(said)
            self._line(said)

    def committed(self, verb: Verb[Any], result: Any) -> None:
        """Write down what the store did."""
        if self._commits:
            self._line((verb, repr(result) if isinstance(result, BatonError) else result))
        if isinstance(result, BatonError):
            return
        if isinstance(verb, Send):
            self._sent(verb)
        elif isinstance(verb, Lease):
            self._leased(verb, result)
        for given_up in getattr(getattr(result, "settled", result), "given_up", ()):
            if not given_up.dead_letter_queue:
                self.note(What.ENDED, self._keys[given_up.message_id], how=given_up.reason.name)

    def sent_at(self, message_id: str) -> int:
        """The instant of a send, as the store has it; 0 when it has none."""
        return self._sent_at.get(message_id, 0)

    def stored(self) -> list[str]:
        """The messages that were stored, by the names that their senders gave them."""
        return list(dict.fromkeys(self._keys.values()))

    def _sent(self, verb: Send) -> None:
        for message in verb.messages:
            self._keys[message.message_id] = key_of(message)
            self._sent_at[message.message_id] = verb.now

    def _leased(self, verb: Lease, result: Any) -> None:
        for delivery in result.deliveries:
            message, known = delivery.message, delivery.lease in self._leases
            self._leases.add(delivery.lease)
            if message.expire_time <= verb.now and not known:
                self.accuse(f"{key_of(message)} was leased {verb.now - message.expire_time} us after its end")

    def _line(self, said: object) -> None:
        self.lines.append(f"{self._loop.elapsed} {_SET.sub(_sorted, str(said))}")


def _sorted(found: re.Match[str]) -> str:
    return f"{{{', '.join(sorted(found[1].split(', ')))}}}"
