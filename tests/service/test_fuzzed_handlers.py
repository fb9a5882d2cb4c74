"""A handler that answers a batch with anything: the broker settles what it understands, and loses nothing."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from baton.queue.v1 import batch_handler_service_pb2 as pb
from baton.queue.v1 import message_pb2, queue_pb2, queue_service_pb2
from mesh.field_rules import FieldRules
from queue_service.app import QueueApplication
from queue_service.queue_definition import DAY
from queue_service.storage.memory import MemoryStore
from tests.support.any_message import any_message
from tests.support.bad_requests.row import INT64
from tests.support.bad_requests.standing import serves
from tests.support.fake_clock import FakeClock
from tests.support.fuzzed_bytes import examples, fuzzed
from tests.support.fuzzed_service import DEADLINE, FAULTS, served, under_fuzz
from tests.support.running_broker import RunningBroker, duration

pytestmark = pytest.mark.timeout(120 + examples(60))

SERVICE = "baton.queue.v1.BatchHandlerService"
TEXTS = ("a", "b", "c")
RULES = FieldRules(("queue",))
Context = grpc.aio.ServicerContext[Any, Any]
# A settlement, and the message of the batch that it is about; beyond the batch it is about a lease of nobody's.
Said = tuple[int, message_pb2.Settlement]


@dataclass(frozen=True)
class Ordeal:
    """What the handler answers to its first batch, and how it ends the call."""

    frames: tuple[bytes | list[Said], ...]
    code: grpc.StatusCode
    text: str
    details: bytes

    def raw(self, leases: Sequence[str]) -> list[bytes]:
        return [frame if isinstance(frame, bytes) else _settling(frame, leases) for frame in self.frames]

    def fate(self, leases: Sequence[str]) -> tuple[set[int], set[int]]:
        """Which messages of the batch it acks and which it rejects, by the contract."""
        open_ = list(range(len(leases)))
        acked: set[int] = set()
        rejected: set[int] = set()
        for raw in self.raw(leases):
            try:
                response = pb.DeliverBatchResponse.FromString(raw)
            except DecodeError:
                return acked, rejected
            for settlement in response.settlements:
                index = leases.index(settlement.lease_id) if settlement.lease_id in leases else -1
                if index not in open_:
                    continue
                open_.remove(index)
                if not RULES.check(settlement, settlement.ByteSize()):
                    acked |= {index} if settlement.HasField("ack") else set()
                    rejected |= {index} if settlement.HasField("reject") else set()
        return acked | (set(open_) if self.code is grpc.StatusCode.OK else set()), rejected


def _settling(said: Sequence[Said], leases: Sequence[str]) -> bytes:
    settlements = []
    for index, settlement in said:
        about = message_pb2.Settlement()
        about.CopyFrom(settlement)
        if index < len(leases):
            about.lease_id = leases[index]
        settlements.append(about)
    return pb.DeliverBatchResponse(settlements=settlements).SerializeToString()


_DELAYS = st.builds(
    Duration, seconds=st.integers(-5, 5) | st.integers(-INT64, INT64 - 1), nanos=st.integers(-(2**31), 2**31 - 1)
)
# With more than this in its trailers a call fails by gRPC's own limit, whatever its handler said.
LARGEST_DETAILS = 3_000
_DETAILS = st.one_of(
    st.just(b""),
    st.binary(max_size=60),
    fuzzed(status_pb2.Status.DESCRIPTOR, (), ()),
    st.tuples(st.integers(0, 20), _DELAYS, st.booleans()).map(lambda parts: _status(*parts)),
).map(lambda raw: raw[:LARGEST_DETAILS])
_SAID = st.tuples(st.integers(0, len(TEXTS)), any_message(message_pb2.Settlement.DESCRIPTOR))
_FRAMES = st.lists(_SAID, max_size=5) | fuzzed(pb.DeliverBatchResponse.DESCRIPTOR, (), ())
_CODES = st.sampled_from(sorted(grpc.StatusCode, key=lambda code: code.name)) | st.just(grpc.StatusCode.OK)
ORDEALS = st.builds(Ordeal, st.lists(_FRAMES, max_size=4).map(tuple), _CODES, st.text(max_size=40), _DETAILS)


def _status(code: int, delay: Duration, explained: bool) -> bytes:
    status = status_pb2.Status(code=code, message="what a handler says")
    status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    if explained:
        status.details.add().Pack(error_details_pb2.ErrorInfo(reason="R" * 2_000, domain="\0"))
    raw: bytes = status.SerializeToString()
    return raw


class HostileHandler:
    """Answers the first batch of an ordeal as it says, and returns from every other one: which acks it."""

    def __init__(self) -> None:
        self.ordeal: Ordeal | None = None
        self.leases: list[str] = []
        self.came_again: set[str] = set()

    async def deliver(self, raw: bytes, context: Context) -> AsyncIterator[bytes]:
        request = pb.DeliverBatchRequest.FromString(raw)
        ordeal, self.ordeal = self.ordeal, None
        if ordeal is None:
            self.came_again |= {leased.message.text for leased in request.messages}
            return
        self.leases = [leased.lease_id for leased in request.messages]
        for frame in ordeal.raw(self.leases):
            yield frame
        if ordeal.details:
            context.set_trailing_metadata((("grpc-status-details-bin", ordeal.details),))
        context.set_code(ordeal.code)
        context.set_details(ordeal.text)


class Trial:
    """A broker, a hostile handler, and one queue after the other between them."""

    def __init__(self, broker: RunningBroker, clock: FakeClock, handler: HostileHandler, address: str) -> None:
        self._broker, self._clock, self._handler, self._address = broker, clock, handler, address
        self._count = 0
        self._run: Any = None
        self.logs: Sequence[dict[str, Any]] = ()

    def bind(self, runner: asyncio.Runner, logs: Sequence[Any]) -> None:
        self._run, self.logs = runner.run, logs

    def try_out(self, ordeal: Ordeal) -> None:
        self._run(self._try_out(ordeal))

    def is_well(self) -> None:
        self._run(serves(self._broker))

    async def _try_out(self, ordeal: Ordeal) -> None:
        self._count += 1
        name, handler = f"pushed-{self._count}", self._handler
        handler.ordeal, handler.came_again = ordeal, set()
        policy = queue_pb2.RetryPolicy(initial_delay=duration(0), max_retries=1_000)
        push = queue_pb2.PushTarget(address=self._address, batch=queue_pb2.BatchCall())
        dead = f"dead-{self._count}"
        plain = {"max_batch_timeout": duration(0), "retry_policy": policy, "push": push, "dead_letter_queue": dead}
        await self._broker.create(name, **plain)
        await self._broker.send(*TEXTS, queue=name)

        stats = await self._emptied(name)

        acked, rejected = ordeal.fate(handler.leases)
        assert stats.acked_total + stats.dead_lettered_total == len(TEXTS), stats
        assert (await self._broker.stats(dead)).ready_count == stats.dead_lettered_total == len(rejected)
        assert handler.came_again == {text for index, text in enumerate(TEXTS) if index not in acked | rejected}
        for queue in (name, dead):
            await self._broker.queues.DeleteQueue(queue_service_pb2.DeleteQueueRequest(name=queue, force=True))

    async def _emptied(self, name: str) -> queue_pb2.QueueStats:
        """The figures once nothing is left: time passes for what waits, never for what the handler holds."""
        async with asyncio.timeout(DEADLINE):
            while (stats := await self._broker.stats(name)).backlog_bytes:
                if not stats.leased_count:
                    self._clock.turn(DAY if stats.delayed_count else 20_000_000)
        return stats


@pytest.fixture(scope="module")
def trial() -> Iterator[Trial]:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Trial]:
        clock, handler = FakeClock(), HostileHandler()
        server = grpc.aio.server()
        method: Any = grpc.unary_stream_rpc_method_handler(handler.deliver)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"DeliverBatch": method}),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        application = QueueApplication(MemoryStore(), (), clock, push_grace=0.2)
        async with served(application) as (_, channel):
            yield Trial(RunningBroker(channel, application), clock, handler, f"127.0.0.1:{port}")
        await server.stop(None)

    with under_fuzz(opened) as made:
        yield made


def test_a_handler_that_answers_anything_loses_no_message(trial: Trial) -> None:
    @settings(max_examples=examples(60), deadline=None, suppress_health_check=list(HealthCheck))
    @given(ORDEALS)
    def example(ordeal: Ordeal) -> None:
        trial.try_out(ordeal)

    example()

    trial.is_well()
    assert [entry for entry in trial.logs if entry.get("action") in FAULTS] == []
