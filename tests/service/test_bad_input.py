"""Every bad request over the wire: refused with what the contract promises, and nothing has changed."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from baton.queue.v1 import message_pb2, producer_service_pb2, queue_service_pb2
from tests.support.bad_requests.refusal import status_of, wrong_with
from tests.support.bad_requests.row import Bad
from tests.support.bad_requests.sound import FINDS_NOTHING, SOUND
from tests.support.bad_requests.standing import everything, furnish, serves
from tests.support.bad_requests.table import PACKAGE, methods, unary_rows
from tests.support.refusals import refused, violations
from tests.support.running_broker import RunningBroker, running_broker

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def broker() -> AsyncIterator[RunningBroker]:
    async with running_broker() as made:
        await furnish(made)
        yield made


async def answer_to(broker: RunningBroker, method: str, request: Message) -> Message:
    """The answer to a unary call."""
    answer = GetMessageClass(methods()[method].output_type)
    call: Any = broker.channel.unary_unary(
        f"/{PACKAGE}.{method}",
        request_serializer=lambda request: request.SerializeToString(),
        response_deserializer=answer.FromString,
    )
    answered: Message = await call(request, timeout=10)
    return answered


async def wrong_answer(broker: RunningBroker, method: str, row: Bad) -> list[str]:
    """What is wrong with the answer to a bad request."""
    try:
        await answer_to(broker, method, row.request)
    except grpc.aio.AioRpcError as error:
        return wrong_with(status_of(error), row)
    return [f"{row}: is accepted"]


@pytest.mark.parametrize("method", sorted(unary_rows()))
async def test_bad_requests_are_refused_and_change_nothing(broker: RunningBroker, method: str) -> None:
    before = await everything(broker)

    wrong = [said for row in unary_rows()[method] for said in await wrong_answer(broker, method, row)]

    assert wrong == []
    assert await everything(broker) == before
    await serves(broker)


async def test_a_request_with_everything_in_it_and_nothing_wrong_is_accepted() -> None:
    async with running_broker() as fresh:
        await furnish(fresh)

        for method in unary_rows():
            if method not in FINDS_NOTHING:
                await answer_to(fresh, method, SOUND[method])

        assert SOUND.keys() == methods().keys()


STRANGE = ("", "\0", "a\0b", "\\0", "\u2028\ufeff", "\U0010ffff", "%s {0} $1 '\"", "\x1b[31m\r\n")
STRANGE_JSON = (
    '"\\u0000"',
    '"\\ud800"',
    '"\\ud83c\\udfc3"',
    "1e999",
    "[" * 200 + "]" * 200,
    ' {"a":1,"a":2} \n',
    "-0",
    "9" * 5_000,
)


async def received(broker: RunningBroker, *messages: message_pb2.QueueMessage) -> list[message_pb2.QueueMessage]:
    """Messages, as a consumer gets them."""
    await broker.create("strange")
    request = producer_service_pb2.SendMessagesRequest(queue="strange", messages=messages)
    await broker.producer.SendMessages(request)
    found = [leased.message for leased in await broker.pull("strange", max_messages=100)]
    await broker.queues.DeleteQueue(queue_service_pb2.DeleteQueueRequest(name="strange", force=True))
    return found


async def test_strange_text_is_no_bad_text_and_comes_back_as_it_was(broker: RunningBroker) -> None:
    sent = [
        message_pb2.QueueMessage(
            text=text, content_type=text, deduplication_id=text, ordering_key=text, attributes={"a": text}
        )
        for text in STRANGE
    ]

    found = await received(broker, *sent)

    for before, after in zip(sent, found, strict=True):
        for name in ("text", "content_type", "deduplication_id", "ordering_key", "attributes"):
            assert getattr(after, name) == getattr(before, name)


async def test_json_comes_back_byte_for_byte(broker: RunningBroker) -> None:
    found = await received(broker, *(message_pb2.QueueMessage(json=text) for text in STRANGE_JSON))

    assert [message.json for message in found] == list(STRANGE_JSON)


async def test_of_two_bodies_the_last_one_counts_and_none_is_a_body_too(broker: RunningBroker) -> None:
    both = message_pb2.QueueMessage(text="first").SerializeToString()
    both += message_pb2.QueueMessage(data=b"last").SerializeToString()

    last, none = await received(broker, message_pb2.QueueMessage.FromString(both), message_pb2.QueueMessage())

    assert (last.WhichOneof("body"), last.data) == ("data", b"last")
    assert none.WhichOneof("body") is None


async def test_every_bad_message_of_a_batch_is_named(broker: RunningBroker) -> None:
    past = message_pb2.QueueMessage(text="a")
    past.expire_time.seconds = 1
    request = producer_service_pb2.SendMessagesRequest(queue="work", messages=[past, message_pb2.QueueMessage(), past])

    error = await refused(broker.producer.SendMessages(request))

    assert violations(error).keys() == {"messages[0].expire_time", "messages[2].expire_time"}


async def test_a_deliver_time_in_the_past_means_now(broker: RunningBroker) -> None:
    past = message_pb2.QueueMessage(text="a")
    past.deliver_time.seconds = -62_135_596_800

    (found,) = await received(broker, past)

    assert not found.HasField("deliver_time")
