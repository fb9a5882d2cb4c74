"""Settings, sizes and bodies, held against Cloudflare's documentation; rows as in docs/compared_with_cloudflare.md."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf import duration_pb2, struct_pb2, timestamp_pb2, wrappers_pb2
from google.protobuf.message import Message

from baton.queue.v1 import consumer_service_pb2, message_pb2, producer_service_pb2, queue_pb2, queue_service_pb2
from mesh.status import read_error
from tests.support.pushed_queue import PushedQueue, pushed_queue
from tests.support.refusals import refused, violations
from tests.support.running_broker import RunningBroker, duration

QueueMessage = message_pb2.QueueMessage

MEBIBYTE = 1024 * 1024
WEEK = 7 * 24 * 3600

VALUES: list[Message] = [
    wrappers_pb2.StringValue(value="grüße"),
    wrappers_pb2.BytesValue(value=b"\x00\xff"),
    wrappers_pb2.Int64Value(value=-(2**63)),
    wrappers_pb2.UInt64Value(value=2**64 - 1),
    wrappers_pb2.DoubleValue(value=float("-inf")),
    wrappers_pb2.BoolValue(value=False),
    timestamp_pb2.Timestamp(seconds=1, nanos=2),
    duration_pb2.Duration(seconds=-1),
    struct_pb2.Value(null_value=struct_pb2.NULL_VALUE),
    struct_pb2.ListValue(values=[struct_pb2.Value(number_value=1), struct_pb2.Value(string_value="two")]),
    struct_pb2.Struct(fields={"nested": struct_pb2.Value(struct_value=struct_pb2.Struct())}),
]


@pytest.fixture
async def work() -> AsyncIterator[PushedQueue]:
    async with pushed_queue() as made:
        yield made


async def send(broker: RunningBroker, *messages: QueueMessage) -> None:
    await broker.producer.SendMessages(producer_service_pb2.SendMessagesRequest(queue="work", messages=messages))


async def test_a_batch_may_wait_for_sixty_seconds_and_no_longer(broker: RunningBroker) -> None:
    """Row #1."""
    longest = await broker.create("longest", max_batch_timeout=duration(60))

    error = await refused(broker.create("longer", max_batch_timeout=duration(61)))

    assert longest.consumer.max_batch_timeout.seconds == 60
    assert violations(error) == {"queue.consumer.max_batch_timeout": "must be at most 60s, is 61s"}


async def test_whatever_protobuf_can_say_comes_back_as_it_was_sent(work: PushedQueue) -> None:
    """Row #6."""
    await work.create(max_batch_size=100)
    bodies = [message_pb2.TypedBody(type_name=it.DESCRIPTOR.full_name, value=it.SerializeToString()) for it in VALUES]

    await work.send(*(QueueMessage(typed=body) for body in bodies))

    received = [leased.message.typed for leased in (await work.batch()).messages]
    assert received == bodies
    assert [type(it).FromString(body.value) for it, body in zip(VALUES, received, strict=True)] == VALUES


async def test_a_queues_name_is_plain_enough_for_a_path_or_a_metric(broker: RunningBroker) -> None:
    """Row #9."""
    assert (await broker.create("signup-2027")).name == "signup-2027"

    error = await refused(broker.create("sign/up 2027"))

    assert violations(error).keys() == {"queue.name"}


async def test_every_kind_of_body_can_be_in_one_batch(work: PushedQueue) -> None:
    """Row #10."""
    await work.create()
    sent = [
        QueueMessage(text="text"),
        QueueMessage(json='[{"a": 1}, {"b": 2}]'),
        QueueMessage(data=b"\x00\x01"),
        QueueMessage(typed=message_pb2.TypedBody(type_name="a.B", value=b"\x02")),
    ]

    await work.send(*sent)

    received = [leased.message for leased in (await work.batch()).messages]
    assert [message.WhichOneof("body") for message in received] == ["text", "json", "data", "typed"]
    for before, after in zip(sent, received, strict=True):
        kind = before.WhichOneof("body")
        assert kind is not None
        assert getattr(after, kind) == getattr(before, kind)


async def test_a_message_that_is_too_large_is_refused_naming_both_sizes(broker: RunningBroker) -> None:
    """Row #13."""
    await broker.create()
    await send(broker, QueueMessage(data=b"x" * 128_001))

    error = await refused(send(broker, QueueMessage(data=b"x" * (MEBIBYTE + 1))))

    (said,) = violations(error).values()
    assert "1048576" in said
    assert "1048577" in said
    assert (await broker.stats()).sent_total == 1


async def test_the_defaults_are_those_of_cloudflare(broker: RunningBroker) -> None:
    """Row A6."""
    queue = await broker.create()

    assert (queue.consumer.max_batch_size, queue.consumer.max_batch_timeout.seconds) == (10, 5)
    assert queue.consumer.retry_policy.max_retries == 3
    assert (queue.delivery_delay.seconds, queue.message_retention.seconds) == (0, 4 * 24 * 3600)


async def test_a_body_comes_back_as_it_was_sent_byte_for_byte(broker: RunningBroker) -> None:
    """Row E1."""
    await broker.create()
    json = '{"a":  1.50, "big": 12345678901234567890}'

    await send(broker, QueueMessage(json=json), QueueMessage(text="grüße"), QueueMessage(data=b"\x00\xff"))

    first, second, third = [leased.message for leased in await broker.pull()]
    assert (first.json, second.text, third.data) == (json, "grüße", b"\x00\xff")


async def test_bad_sends_are_refused_whole_and_name_every_fault(broker: RunningBroker) -> None:
    """Row E2."""
    await broker.create()

    nothing = await refused(send(broker))
    no_json = await refused(
        send(broker, QueueMessage(text="fine"), QueueMessage(json="{"), QueueMessage(typed=message_pb2.TypedBody()))
    )

    assert violations(nothing).keys() == {"messages"}
    assert violations(no_json).keys() == {"messages[1].json", "messages[2].typed.type_name"}
    assert (await broker.stats()).sent_total == 0


async def test_a_message_a_send_and_its_count_have_their_limits(broker: RunningBroker) -> None:
    """Row E3."""
    await broker.create()
    largest = QueueMessage(data=b"x" * MEBIBYTE)
    await send(broker, largest, largest, largest)
    await send(broker, *[QueueMessage(text="a")] * 1000)

    too_many = await refused(send(broker, *[QueueMessage(text="a")] * 1001))
    too_much = await refused(send(broker, largest, largest, largest, QueueMessage(text="a")))

    assert violations(too_many) == {"messages": "must have at most 1000 items, has 1001"}
    assert violations(too_much) == {"messages": "may have at most 3145728 bytes in all, has 3145729"}
    assert (await broker.stats()).sent_total == 1003


@pytest.mark.parametrize(
    ("consumer", "field"),
    [
        pytest.param({"max_batch_size": 1001}, "max_batch_size", id="V3"),
        pytest.param({"max_batch_size": 0}, "max_batch_size", id="V4"),
        pytest.param({"max_batch_timeout": duration(61)}, "max_batch_timeout", id="V5"),
        pytest.param({"retry_policy": queue_pb2.RetryPolicy(max_retries=1001)}, "retry_policy.max_retries", id="V6"),
        pytest.param(
            {"retry_policy": queue_pb2.RetryPolicy(initial_delay=duration(WEEK + 1))},
            "retry_policy.initial_delay",
            id="V7",
        ),
    ],
)
async def test_a_setting_beyond_its_limit_is_refused_and_makes_no_queue(
    broker: RunningBroker, consumer: dict[str, Any], field: str
) -> None:
    """Rows V3, V4, V5, V6 and V7."""
    error = await refused(broker.create(**consumer))

    assert violations(error).keys() == {f"queue.consumer.{field}"}
    assert not (await broker.queues.ListQueues(queue_service_pb2.ListQueuesRequest())).queues


async def test_a_delay_of_a_queue_beyond_its_limit_is_refused_and_makes_no_queue(broker: RunningBroker) -> None:
    """Row V8."""
    queue = queue_pb2.Queue(name="work", delivery_delay=duration(WEEK + 1))

    error = await refused(broker.queues.CreateQueue(queue_service_pb2.CreateQueueRequest(queue=queue)))

    assert violations(error) == {"queue.delivery_delay": "must be at most 7d, is 604801s"}
    assert not (await broker.queues.ListQueues(queue_service_pb2.ListQueuesRequest())).queues


async def test_a_queue_that_is_pushed_has_no_other_consumer(work: PushedQueue) -> None:
    """Row V9."""
    await work.create()
    opening = consumer_service_pb2.StreamMessagesRequest.Open(queue="work")

    pulled = await refused(work.broker.pull())
    stream = work.broker.consumer.StreamMessages()
    await stream.write(consumer_service_pb2.StreamMessagesRequest(open=opening))
    streamed = await refused(stream.read())

    for error in (pulled, streamed):
        assert (error.code(), read_error(error).reason) == (grpc.StatusCode.FAILED_PRECONDITION, "QUEUE_IS_PUSHED")


async def test_the_clients_of_a_pulled_queue_share_its_messages(broker: RunningBroker) -> None:
    """Row V9."""
    await broker.create()
    await broker.send("a", "b")

    mine, theirs = await broker.pull(max_messages=1), await broker.pull(max_messages=10)

    assert [leased.message.text for leased in (*mine, *theirs)] == ["a", "b"]
