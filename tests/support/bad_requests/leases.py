"""ConsumerService: what cannot be asked for, settled or extended."""

from collections.abc import Iterator
from typing import Any

from baton.queue.v1 import consumer_service_pb2 as pb
from baton.queue.v1.message_pb2 import Ack, Release, Retry, Settlement
from tests.support.bad_requests.row import MIB, Bad, below_nought, durations, each, inside, texts, whole_numbers

StreamRequest = pb.StreamMessagesRequest

NOT_FOUND: dict[str, Any] = {"code": "NOT_FOUND", "reason": "QUEUE_NOT_FOUND"}
PUSHED: dict[str, Any] = {"code": "FAILED_PRECONDITION", "reason": "QUEUE_IS_PUSHED"}
ACK = Settlement(lease_id="x", ack=Ack())

SETTLEMENT = (
    Bad(Settlement(lease_id="x"), "action", ("is required",)),
    Bad(Settlement(), "action", ("is required",)),
    *each(lambda v: Settlement(lease_id="x", retry=Retry(delay=v)), "retry.delay", durations("0s", "7d")),
    *each(lambda v: Settlement(lease_id="x", release=Release(delay=v)), "release.delay", durations("0s", "7d")),
)


def _pull_rows() -> Iterator[Bad]:
    def pull(**fields: Any) -> pb.PullMessagesRequest:
        return pb.PullMessagesRequest(**{"queue": "empty", **fields})

    yield from each(lambda v: pull(queue=v), "queue", texts(63, required=True))
    yield Bad(pull(queue="nowhere"), "queue", **NOT_FOUND)
    yield Bad(pull(queue="pushed"), "queue", **PUSHED)
    yield from each(lambda v: pull(max_messages=v), "max_messages", whole_numbers(0, 1_000))
    yield from each(lambda v: pull(max_bytes=v), "max_bytes", whole_numbers(0, 3 * MIB, 64))
    yield from each(lambda v: pull(max_wait=v), "max_wait", durations("0s", "60s"))
    yield from each(lambda v: pull(visibility_timeout=v), "visibility_timeout", durations("1s", "12h"))
    yield from each(lambda v: pull(consumer_instance=v), "consumer_instance", texts(128))
    yield from each(lambda v: pull(request_id=v), "request_id", texts(128))


def _settle_rows() -> Iterator[Bad]:
    def settle(**fields: Any) -> pb.SettleMessagesRequest:
        return pb.SettleMessagesRequest(**{"queue": "work", "settlements": [ACK], **fields})

    yield from each(lambda v: settle(queue=v), "queue", texts(63, required=True))
    yield Bad(settle(queue="nowhere"), "queue", **NOT_FOUND)
    yield Bad(settle(settlements=[]), "settlements", ("is required",))
    yield Bad(settle(settlements=[ACK] * 1_001), "settlements", ("at most 1000 items", "has 1001"))
    yield from inside(lambda v: settle(settlements=[ACK, ACK, v]), "settlements[2]", SETTLEMENT)


def _extend_rows() -> Iterator[Bad]:
    def extend(**fields: Any) -> pb.ExtendLeasesRequest:
        return pb.ExtendLeasesRequest(**{"queue": "work", "lease_ids": ["x"], **fields})

    yield from each(lambda v: extend(queue=v), "queue", texts(63, required=True))
    yield Bad(extend(queue="nowhere"), "queue", **NOT_FOUND)
    yield Bad(extend(lease_ids=[]), "lease_ids", ("is required",))
    yield Bad(extend(lease_ids=["x"] * 1_001), "lease_ids", ("at most 1000 items", "has 1001"))
    yield from each(lambda v: extend(visibility_timeout=v), "visibility_timeout", durations("1s", "12h"))


def _flow_rows() -> Iterator[Bad]:
    def flow(**fields: Any) -> StreamRequest.FlowControl:
        return StreamRequest.FlowControl(**fields)

    yield from each(lambda v: flow(max_outstanding_messages=v), "max_outstanding_messages", whole_numbers(0, 100_000))
    yield from each(lambda v: flow(max_outstanding_bytes=v), "max_outstanding_bytes", below_nought(64))
    most = 1024 * MIB
    for value in (most + 1, 2**63 - 1):
        said = (f"at most {most}", f"is {value}")
        yield Bad(flow(max_outstanding_bytes=value), "max_outstanding_bytes", said)


FLOW = tuple(_flow_rows())


def _open_rows() -> Iterator[Bad]:
    def opening(**fields: Any) -> StreamRequest:
        return StreamRequest(sequence=7, open=StreamRequest.Open(**{"queue": "empty", **fields}))

    yield from each(lambda v: opening(queue=v), "open.queue", texts(63, required=True))
    yield Bad(opening(queue="nowhere"), "open.queue", **NOT_FOUND)
    yield Bad(opening(queue="pushed"), "open.queue", **PUSHED)
    yield from each(lambda v: opening(consumer_instance=v), "open.consumer_instance", texts(128))
    yield from each(lambda v: opening(visibility_timeout=v), "open.visibility_timeout", durations("1s", "12h"))
    yield from each(lambda v: opening(max_batch_size=v), "open.max_batch_size", whole_numbers(1, 1_000))
    yield from each(lambda v: opening(max_batch_timeout=v), "open.max_batch_timeout", durations("0s", "60s"))
    yield from inside(lambda v: opening(flow_control=v), "open.flow_control", FLOW)
    for early in (StreamRequest(), StreamRequest(settle=StreamRequest.Settle(settlements=[ACK]))):
        yield Bad(early, "open", ("comes first, and once",))
    yield Bad(StreamRequest(drain=StreamRequest.Drain()), "open", ("comes first, and once",))


def _later_rows() -> Iterator[Bad]:
    def settle(*settlements: Settlement) -> StreamRequest:
        return StreamRequest(settle=StreamRequest.Settle(settlements=settlements))

    def extend(**fields: Any) -> StreamRequest:
        return StreamRequest(extend=StreamRequest.Extend(**{"lease_ids": ["x"], **fields}))

    yield Bad(StreamRequest(), "request", ("is required",))
    yield Bad(StreamRequest(open=StreamRequest.Open(queue="empty")), "open", ("comes first, and once",))
    yield from inside(lambda v: StreamRequest(flow_control=v), "flow_control", FLOW)
    yield Bad(settle(), "settle.settlements", ("is required",))
    yield Bad(settle(*[ACK] * 1_001), "settle.settlements", ("at most 1000 items", "has 1001"))
    yield from inside(lambda v: settle(ACK, v), "settle.settlements[1]", SETTLEMENT)
    yield Bad(extend(lease_ids=[]), "extend.lease_ids", ("is required",))
    yield Bad(extend(lease_ids=["x"] * 1_001), "extend.lease_ids", ("at most 1000 items", "has 1001"))
    yield from each(lambda v: extend(visibility_timeout=v), "extend.visibility_timeout", durations("1s", "12h"))


ROWS = {
    "ConsumerService/PullMessages": tuple(_pull_rows()),
    "ConsumerService/SettleMessages": tuple(_settle_rows()),
    "ConsumerService/ExtendLeases": tuple(_extend_rows()),
}
STREAM_OPENINGS = tuple(_open_rows())
STREAM_REQUESTS = tuple(_later_rows())
