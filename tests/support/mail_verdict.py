"""Whether every runner has exactly one mail: the judgement of a mail server's own account, a pure function."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from tests.support.mail_ledger import Delivery


class End(Enum):
    """How the conversation about a mail ended for the one who sent it."""

    ANSWERED = auto()
    CUT = auto()
    """The sender was gone before it could be answered."""
    UNNOTED = auto()
    """It was answered, and the sender was killed before it could note that."""


@dataclass(frozen=True)
class Verdict:
    """What is wrong, a sentence each, and what had to be excused."""

    faults: Sequence[str]
    mails: int
    cut: int
    unnoted: int
    second: int

    def __str__(self) -> str:
        return (
            f"{self.mails} mails; conversations cut before the answer: {self.cut}, "
            f"after it and before it could be noted: {self.unnoted}; second mails for that reason: {self.second}"
        )


def judge(
    registered: Collection[str],
    deliveries: Sequence[Delivery],
    noted: Mapping[int, Collection[str]],
    *,
    resent: Collection[str] = (),
) -> Verdict:
    """Hold the account of a mail server against the list of those who are to have a mail.

    A mail may be followed by another to the same runner only when nobody could know that it was taken; the other then
    has the same Message-ID, so that its reader's program can know.

    Args:
        registered: the addresses.
        deliveries: what the server took, in order.
        noted: for each life of the sender that was killed, the addresses whose mail it had noted as sent.
        resent: the addresses for which somebody asked for a mail of its own, after the first had failed.
    """
    mails: defaultdict[str, list[Delivery]] = defaultdict(list)
    for delivery in deliveries:
        mails[delivery.recipient].append(delivery)
    faults = [f"{address} is registered and has no mail" for address in registered if address not in mails]
    faults += [f"{address} has mail and is not registered" for address in mails if address not in registered]
    for address, theirs in mails.items():
        known = [delivery for delivery in theirs[:-1] if _end(delivery, noted) is End.ANSWERED]
        if known:
            faults.append(f"{address} has {len(theirs)} mails, and the sender knew of {len(known)} before the last")
        names = {delivery.message_id for delivery in theirs}
        if len(names) > (2 if address in resent else 1):
            faults.append(f"{address} has mails under {len(names)} Message-IDs")
    faults += _shared(mails)
    ends = [_end(delivery, noted) for delivery in deliveries]
    return Verdict(faults, len(ends), ends.count(End.CUT), ends.count(End.UNNOTED), len(deliveries) - len(mails))


def _shared(mails: Mapping[str, Sequence[Delivery]]) -> list[str]:
    owners: defaultdict[str, set[str]] = defaultdict(set)
    for address, theirs in mails.items():
        for delivery in theirs:
            owners[delivery.message_id].add(address)
    return [f"{name} stands on mails to {sorted(some)}" for name, some in owners.items() if len(some) > 1]


def _end(delivery: Delivery, noted: Mapping[int, Collection[str]]) -> End:
    if delivery.cut:
        return End.CUT
    if delivery.life in noted and delivery.recipient not in noted[delivery.life]:
        return End.UNNOTED
    return End.ANSWERED
