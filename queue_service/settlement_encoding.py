"""Settlements and lease extensions between protobuf and domain."""

from collections.abc import Sequence

from baton.queue.v1 import consumer_service_pb2
from baton.queue.v1 import message_pb2 as pb
from mesh.errors import InvalidArgument, Violation
from mesh.wire_time import duration_of, instant_to
from queue_service.lease_id import LeaseIds
from queue_service.message import Lease
from queue_service.settlement import Ack, Action, LeaseOutcome, Reject, Release, Retry

_ACK = Ack()


def decode_action(settlement: pb.Settlement) -> Action | None:
    """What a settlement says to do; None when it says nothing."""
    match settlement.WhichOneof("action"):
        case "ack":
            return _ACK
        case "retry":
            retry = settlement.retry
            delay = duration_of(retry.delay) if retry.HasField("delay") else None
            return Retry(delay, retry.code, retry.description)
        case "release":
            return Release(duration_of(settlement.release.delay))
        case "reject":
            return Reject(settlement.reject.code, settlement.reject.description)
        case _:
            return None


def decode_settlements(
    settlements: Sequence[pb.Settlement], lease_ids: LeaseIds, queue_number: int
) -> list[tuple[Lease | None, Action]]:
    """What settlements of a queue's leases say; raises InvalidArgument where one says nothing."""
    pairs: list[tuple[Lease | None, Action]] = []
    for index, settlement in enumerate(settlements):
        action = decode_action(settlement)
        if action is None:
            raise InvalidArgument([Violation(f"settlements[{index}].action", "is required")])
        pairs.append((lease_ids.decode(settlement.lease_id, queue_number), action))
    return pairs


def encode_results(settlements: Sequence[pb.Settlement], outcomes: Sequence[LeaseOutcome]) -> list[pb.SettlementResult]:
    """What became of settlements, in their order."""
    pairs = zip(settlements, outcomes, strict=True)
    return [pb.SettlementResult(lease_id=item.lease_id, outcome=_encode_outcome(outcome)) for item, outcome in pairs]


def encode_extensions(
    lease_ids: Sequence[str], outcomes: Sequence[LeaseOutcome], until: int
) -> list[consumer_service_pb2.LeaseExtension]:
    """What became of leases that should end at ``until``, in their order."""
    return [_encode_extension(*pair, until) for pair in zip(lease_ids, outcomes, strict=True)]


def _encode_extension(lease_id: str, outcome: LeaseOutcome, until: int) -> consumer_service_pb2.LeaseExtension:
    extension = consumer_service_pb2.LeaseExtension(lease_id=lease_id, outcome=_encode_outcome(outcome))
    if outcome is LeaseOutcome.APPLIED:
        extension.lease_expire_time.CopyFrom(instant_to(until))
    return extension


def _encode_outcome(outcome: LeaseOutcome) -> "pb.LeaseOutcome.ValueType":
    return pb.LeaseOutcome.ValueType(int(outcome))
