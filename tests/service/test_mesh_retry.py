"""Which calls the callers' library repeats by itself: those the contract calls safe to repeat, and no others."""

from datetime import timedelta
from typing import Any

import grpc
import pytest

from baton.queue.v1 import message_pb2, producer_service_pb2, queue_pb2, queue_service_pb2
from baton.queue.v1.producer_service_pb2_grpc import ProducerServiceStub
from baton.queue.v1.queue_service_pb2_grpc import QueueServiceStub
from mesh.channel import service_config
from mesh.errors import Aborted, BatonError, FailedPrecondition, Unavailable
from tests.support.probe import Context, ProbeApplication
from tests.support.refusals import refused
from tests.support.running import running

AWAY = Unavailable("STORAGE_UNAVAILABLE", "not now")
COME_BACK = Unavailable("STORAGE_UNAVAILABLE", "not now", retry_delay=timedelta(seconds=1))
READ = queue_service_pb2.GetQueueRequest(name="work")
SEND = producer_service_pb2.SendMessageRequest(queue="work", message=message_pb2.QueueMessage(text="hello"))


class Broker(ProbeApplication):
    """Serves one method of each kind: refuses the first calls and answers those that follow; counts all."""

    def __init__(self, *refusals: BatonError) -> None:
        super().__init__()
        self._refusals = list(refusals)
        self.attempts: list[str | bytes | None] = []

    def register(self, server: grpc.aio.Server) -> list[str]:
        for service, method, behaviour, response in (
            ("QueueService", "GetQueue", self.get_queue, queue_service_pb2.GetQueueResponse),
            ("ProducerService", "SendMessage", self.send_message, producer_service_pb2.SendMessageResponse),
        ):
            request: Any = READ if method == "GetQueue" else SEND
            handler = grpc.unary_unary_rpc_method_handler(
                behaviour,
                request_deserializer=type(request).FromString,
                response_serializer=response.SerializeToString,
            )
            name = f"baton.queue.v1.{service}"
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, {method: handler}),))
        return []

    def _attempt(self, context: Context) -> None:
        self.attempts.append(dict(context.invocation_metadata() or ()).get("grpc-previous-rpc-attempts"))
        if self._refusals:
            raise self._refusals.pop(0)

    async def get_queue(self, request: Any, context: Any) -> queue_service_pb2.GetQueueResponse:
        self._attempt(context)
        return queue_service_pb2.GetQueueResponse(queue=queue_pb2.Queue(name=request.name))

    async def send_message(self, request: Any, context: Any) -> producer_service_pb2.SendMessageResponse:
        self._attempt(context)
        return producer_service_pb2.SendMessageResponse()


async def test_a_call_that_is_safe_to_repeat_is_repeated() -> None:
    broker = Broker(AWAY, AWAY)
    async with running(broker, packages=("queue",)) as channel:
        answer = await QueueServiceStub(channel).GetQueue(READ)

    assert answer.queue.name == "work"
    assert broker.attempts == [None, "1", "2"]


async def test_after_four_attempts_the_caller_is_told() -> None:
    broker = Broker(*[AWAY] * 5)
    async with running(broker, packages=("queue",)) as channel:
        error = await refused(QueueServiceStub(channel).GetQueue(READ))

    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert len(broker.attempts) == 4


async def test_a_call_that_stores_something_is_not_repeated() -> None:
    broker = Broker(AWAY)
    async with running(broker, packages=("queue",)) as channel:
        await refused(ProducerServiceStub(channel).SendMessage(SEND))

    assert broker.attempts == [None]


@pytest.mark.parametrize(
    "refusal",
    [COME_BACK, Aborted("IN_PROGRESS", "not yet"), FailedPrecondition("QUEUE_NOT_EMPTY", "no", subject="work")],
)
async def test_an_answer_that_says_when_to_come_back_or_is_another_one_is_not_repeated(refusal: BatonError) -> None:
    broker = Broker(refusal)
    async with running(broker, packages=("queue",)) as channel:
        await refused(QueueServiceStub(channel).GetQueue(READ))

    assert broker.attempts == [None]


async def test_without_the_contracts_policy_nothing_is_repeated() -> None:
    broker = Broker(AWAY)
    async with running(broker) as channel:
        await refused(QueueServiceStub(channel).GetQueue(READ))

    assert broker.attempts == [None]


async def test_repeats_stay_within_the_calls_timeout() -> None:
    broker = Broker(*[AWAY] * 100)
    async with running(broker, packages=("queue",)) as channel:
        error = await refused(QueueServiceStub(channel).GetQueue(READ, timeout=0.02))

    assert error.code() in {grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE}
    assert len(broker.attempts) < 4


def test_the_policies_of_several_contracts_are_one_config() -> None:
    config = service_config(("queue", "email", "signup", "mesh"))

    services = {name["service"] for entry in config["methodConfig"] for name in entry["name"]}
    assert {service.split(".")[1] for service in services} == {"queue", "email", "signup", "mesh"}
    assert config["loadBalancingConfig"] == [{"round_robin": {}}]
    assert service_config(())["methodConfig"] == []
