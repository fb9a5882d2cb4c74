"""Judges a history that ended with every queue drained; modelled on the total-queue checker of Jepsen.

A pure function of the events. It never accuses a sound broker: a delivery is taken to begin when it was received, which
is later than the broker's own view, and a lease to end when its settlement was under way, which is earlier. What a
frozen consumer finds in its hands when its lease is over says nothing about when it was handed out, and accuses nobody.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tests.support.history.event import Event, What

#: Settlements after which the message is there no more.
_ENDS = frozenset({"ack"})
_APPLIED = frozenset({"APPLIED", "APPLIED_LATE"})


@dataclass(frozen=True)
class Verdict:
    """What must not be, by the promise it breaks, and some counts to read beside it.

    Attributes:
        lost: sends that were answered OK and never delivered, or delivered and never ended (P1, P5).
        unexpected: deliveries of what nobody sent, or of a send that was refused (P1).
        stored_twice: keys that came as several messages (P2).
        overlapping: messages delivered while another lease on them was live and nobody had let go of it (P2, P3).
        unfenced: messages whose lease was still good for something after another one on them was given out (P3).
        revived: messages delivered after an ack of theirs was confirmed, or another end (P4).
        ended_twice: keys whose ack was confirmed more than once (P4, P5).
        early: messages delivered before their time, or before that of their retry (P6).
        out_of_order: messages delivered before an older one of their ordering key.
    """

    lost: Sequence[str] = ()
    unexpected: Sequence[str] = ()
    stored_twice: Sequence[str] = ()
    overlapping: Sequence[str] = ()
    unfenced: Sequence[str] = ()
    revived: Sequence[str] = ()
    ended_twice: Sequence[str] = ()
    early: Sequence[str] = ()
    out_of_order: Sequence[str] = ()
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def kept(self) -> bool:
        """Whether every promise was kept."""
        return not self.broken

    @property
    def broken(self) -> dict[str, Sequence[str]]:
        """The promises that were not, with the keys."""
        return {name: found for name, found in vars(self).items() if name != "counts" and found}


def judge(events: Iterable[Event]) -> Verdict:
    """The verdict on a whole history, sorted by time."""
    case = _Case(events)
    return Verdict(
        lost=case.lost(),
        unexpected=sorted(key for key in case.deliveries if case.outcomes.get(key, What.FAILED) is What.FAILED),
        stored_twice=sorted(key for key, found in case.deliveries.items() if len({e.message_id for e in found}) > 1),
        overlapping=case.overlapping(),
        unfenced=sorted(case.unfenced),
        revived=case.revived(),
        ended_twice=sorted(key for key, count in case.ends.items() if count > 1),
        early=case.early(),
        out_of_order=case.out_of_order(),
        counts=case.counts(),
    )


class _Case:
    """A history, sorted into what belongs together."""

    def __init__(self, events: Iterable[Event]) -> None:
        self.outcomes: dict[str, What] = {}
        self.due: dict[str, int] = {}
        self.deliveries: defaultdict[str, list[Event]] = defaultdict(list)
        self.let_go: dict[str, int] = {}
        self.ends: Counter[str] = Counter()
        self.ended_at: dict[str, int] = {}
        self.unfenced: set[str] = set()
        self.sent: list[Event] = []
        # Sends with a try whose end nobody knows: a refusal of the next try says nothing about it.
        self._doubtful: set[str] = set()
        self._keys: dict[str, str] = {}
        self._actions: dict[str, str] = {}
        self._ending: set[str] = set()
        self._lasts: dict[str, int] = {}
        self._given_back: dict[str, int] = {}
        for event in events:
            self._take(event)

    def _take(self, event: Event) -> None:
        match event.what:
            case What.INVOKED:
                if self.outcomes.get(event.key) is not What.OK:
                    self.outcomes[event.key] = What.UNKNOWN
                    self.sent.append(event)
                self.due[event.key] = event.until
            case What.OK:
                self.outcomes[event.key] = What.OK
            case What.UNKNOWN:
                self._doubtful.add(event.key)
            case What.FAILED if self.outcomes.get(event.key) is not What.OK and event.key not in self._doubtful:
                self.outcomes[event.key] = What.FAILED
            case What.DELIVERED:
                self.deliveries[event.key].append(event)
                self._keys[event.lease_id] = event.key
                self._lasts.setdefault(event.lease_id, event.until)
            case What.EXTENDED:
                self._lasts[event.lease_id] = event.until
                self._fence(event)
            case What.ENDING:
                self._ending.add(event.key)
            case What.ENDED:
                self._ending.add(event.key)
                self.ended_at.setdefault(event.key, event.at)
            case What.SETTLING:
                self._actions.setdefault(event.lease_id, event.how)
                self.let_go.setdefault(event.lease_id, event.at)
            case What.SETTLED if event.how in _APPLIED:
                self._fence(event)
                self._given_back[event.lease_id] = event.until
                if self._actions.get(event.lease_id) in _ENDS:
                    key = self._keys[event.lease_id]
                    self.ends[key] += 1
                    self.ended_at.setdefault(key, event.at)

    def _fence(self, event: Event) -> None:
        """Nothing may be done by a lease once another one was given out: received later, and while it lasted."""
        key = self._keys[event.lease_id]
        since = self.let_go.get(event.lease_id, event.at)
        leases = [each.lease_id for each in self.deliveries[key]]
        for later in self.deliveries[key][leases.index(event.lease_id) + 1 :]:
            if later.at < since and _in_time(later) and later.lease_id != event.lease_id:
                self.unfenced.add(key)

    def lost(self) -> list[str]:
        """Sends answered OK without an end; one whose ack was not confirmed may have ended."""
        return sorted(
            key for key, outcome in self.outcomes.items() if outcome is What.OK and not self._may_have_ended(key)
        )

    def overlapping(self) -> list[str]:
        found = set()
        for key, deliveries in self.deliveries.items():
            for earlier, later in pairwise(filter(_in_time, deliveries)):
                lasts = self._lasts[earlier.lease_id]
                end = min(lasts, self.let_go.get(earlier.lease_id, lasts))
                if later.at < end and later.lease_id != earlier.lease_id:
                    found.add(key)
        return sorted(found)

    def revived(self) -> list[str]:
        return sorted(
            key
            for key, ended_at in self.ended_at.items()
            if any(delivery.at > ended_at and _in_time(delivery) for delivery in self.deliveries.get(key, ()))
        )

    def early(self) -> list[str]:
        found = {key for key, given in self.deliveries.items() if given[0].at < self.due.get(key, 0)}
        for key, deliveries in self.deliveries.items():
            for earlier, later in pairwise(deliveries):
                again = later.lease_id != earlier.lease_id and later.queue == earlier.queue
                if again and later.at < self._given_back.get(earlier.lease_id, 0):
                    found.add(key)
        return sorted(found)

    def out_of_order(self) -> list[str]:
        """Of those with an ordering key: first deliveries that came before that of an older send."""
        found = set()
        newest: dict[tuple[str, str], int] = {}
        order = {event.key: number for number, event in enumerate(self.sent)}
        firsts = [given[0] for given in self.deliveries.values() if given[0].ordering_key]
        for first in sorted(firsts, key=lambda event: event.at):
            if self.outcomes.get(first.key) is not What.OK:
                continue
            line, place = (first.queue, first.ordering_key), order[first.key]
            if place < newest.get(line, place):
                found.add(first.key)
            newest[line] = max(place, newest.get(line, place))
        return sorted(found)

    def counts(self) -> dict[str, int]:
        outcomes = Counter(self.outcomes.values())
        return {
            "sent": outcomes[What.OK],
            "refused": outcomes[What.FAILED],
            "unknown": outcomes[What.UNKNOWN],
            "recovered": sum(self.outcomes.get(key) is What.UNKNOWN for key in self.deliveries),
            "delivered": sum(len(found) for found in self.deliveries.values()),
            "redelivered": sum(len(found) - 1 for found in self.deliveries.values()),
            "acked": len(self.ends),
        }

    def _may_have_ended(self, key: str) -> bool:
        leases = (delivery.lease_id for delivery in self.deliveries.get(key, ()))
        return key in self.ends or key in self._ending or any(self._actions.get(lease) in _ENDS for lease in leases)


def _in_time(delivery: Event) -> bool:
    """Whether a delivery was received while its lease lasted."""
    return delivery.at <= delivery.until
