"""ProducerService over a real server."""

import asyncio
from collections.abc import Awaitable

import grpc

from baton.queue.v1 import consumer_service_pb2, message_pb2, producer_service_pb2, queue_pb2, queue_service_pb2
from mesh.status import read_error
from tests.support.refusals import refused, violations
from tests.support.running_broker import RunningBroker, duration

ack = message_pb2.Ack()


class TestMessages:
    async def test_every_kind_of_body_comes_back_as_it_was_sent(self, broker: RunningBroker) -> None:
        await broker.create()
        sent = [
            message_pb2.QueueMessage(text="grüße", attributes={"traceparent": "00-1"}, content_type="text/plain"),
            message_pb2.QueueMessage(json='{"a":  1.50, "big": 12345678901234567890}'),
            message_pb2.QueueMessage(data=b"\x00\xff"),
            message_pb2.QueueMessage(typed=message_pb2.TypedBody(type_name="a.B", value=b"\x01")),
            message_pb2.QueueMessage(attributes={"only": "attributes"}),
        ]
        await broker.producer.SendMessages(producer_service_pb2.SendMessagesRequest(queue="work", messages=sent))

        received = [leased.message for leased in await broker.pull()]

        for before, after in zip(sent, received, strict=True):
            assert after.WhichOneof("body") == before.WhichOneof("body")
            assert (after.text, after.json, after.data, after.typed) == (
                before.text,
                before.json,
                before.data,
                before.typed,
            )
            assert (after.attributes, after.content_type) == (before.attributes, before.content_type)

    async def test_output_only_input_is_ignored(self, broker: RunningBroker) -> None:
        await broker.create()
        message = message_pb2.QueueMessage(text="a", message_id="mine", producer="me")
        message.dead_letter.source_queue = "elsewhere"

        answer = await broker.producer.SendMessage(
            producer_service_pb2.SendMessageRequest(queue="work", message=message)
        )

        (leased,) = await broker.pull()
        assert leased.message.message_id == answer.result.message_id != "mine"
        assert not leased.message.HasField("dead_letter")
        assert not leased.message.producer

    async def test_all_violations_are_named_at_once_and_nothing_is_stored(self, broker: RunningBroker) -> None:
        await broker.create()
        bad = message_pb2.QueueMessage(json="{", attributes={"UPPER": "x"}, deduplication_id="d" * 129)
        bad.delay.CopyFrom(duration(8 * 24 * 3600))
        messages = [message_pb2.QueueMessage(text="fine"), bad, message_pb2.QueueMessage(ttl=duration(59))]

        request = producer_service_pb2.SendMessagesRequest(queue="work", messages=messages)
        error = await refused(broker.producer.SendMessages(request))

        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
        found = violations(error)
        assert found.keys() == {
            "messages[1].json",
            "messages[1].attributes['UPPER']",
            "messages[1].deduplication_id",
            "messages[1].delay",
            "messages[2].ttl",
        }
        assert found["messages[1].delay"] == "must be at most 7d, is 691200s"
        assert (await broker.stats()).sent_total == 0

    async def test_a_message_of_one_mebibyte_is_the_largest(self, broker: RunningBroker) -> None:
        await broker.create()
        largest = message_pb2.QueueMessage(data=b"x" * (1024 * 1024 - 2), attributes={"k": "v"})
        larger = message_pb2.QueueMessage(data=b"x" * (1024 * 1024 - 1), attributes={"k": "v"})
        send = broker.producer.SendMessage

        await send(producer_service_pb2.SendMessageRequest(queue="work", message=largest))
        error = await refused(send(producer_service_pb2.SendMessageRequest(queue="work", message=larger)))

        assert violations(error) == {"message.body": "may have at most 1048576 bytes with its attributes, has 1048577"}

    async def test_a_send_of_more_than_three_mebibytes_is_refused_whole(self, broker: RunningBroker) -> None:
        await broker.create()
        messages = [message_pb2.QueueMessage(data=b"x" * 1_000_000) for _ in range(4)]

        request = producer_service_pb2.SendMessagesRequest(queue="work", messages=messages)
        error = await refused(broker.producer.SendMessages(request))

        assert violations(error) == {"messages": "may have at most 3145728 bytes in all, has 4000000"}

    async def test_times_outside_the_limits_are_refused(self, broker: RunningBroker) -> None:
        await broker.create()
        far = message_pb2.QueueMessage(text="a")
        far.deliver_time.FromJsonString("2999-01-01T00:00:00Z")
        past = message_pb2.QueueMessage(text="b")
        past.expire_time.FromJsonString("2001-01-01T00:00:00Z")
        send = broker.producer.SendMessages

        far_error = await refused(send(producer_service_pb2.SendMessagesRequest(queue="work", messages=[far])))
        past_error = await refused(send(producer_service_pb2.SendMessagesRequest(queue="work", messages=[past])))

        assert violations(far_error).keys() == {"messages[0].deliver_time"}
        assert violations(past_error).keys() == {"messages[0].expire_time"}

    async def test_a_messages_own_ttl_goes_over_the_queues_retention(self, broker: RunningBroker) -> None:
        await broker.create()
        message = message_pb2.QueueMessage(text="a", ttl=duration(30 * 24 * 3600))
        await broker.producer.SendMessage(producer_service_pb2.SendMessageRequest(queue="work", message=message))

        (leased,) = await broker.pull()

        kept = leased.message.expire_time.ToDatetime() - leased.message.send_time.ToDatetime()
        assert kept.days == 30

    async def test_a_request_id_of_a_batch_is_none_of_a_single_send(self, broker: RunningBroker) -> None:
        await broker.create()
        message = message_pb2.QueueMessage(text="a")
        both = producer_service_pb2.SendMessagesRequest(queue="work", messages=[message, message], request_id="r")
        await broker.producer.SendMessages(both)

        one = producer_service_pb2.SendMessageRequest(queue="work", message=message, request_id="r")
        error = await refused(broker.producer.SendMessage(one))

        assert (error.code(), read_error(error).reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")

    async def test_an_unknown_queue_is_not_found_everywhere(self, broker: RunningBroker) -> None:
        calls: list[Awaitable[object]] = [
            broker.producer.SendMessage(
                producer_service_pb2.SendMessageRequest(queue="nowhere", message=message_pb2.QueueMessage(text="a"))
            ),
            broker.consumer.PullMessages(consumer_service_pb2.PullMessagesRequest(queue="nowhere")),
            broker.consumer.SettleMessages(
                consumer_service_pb2.SettleMessagesRequest(
                    queue="nowhere", settlements=[message_pb2.Settlement(lease_id="x", ack=ack)]
                )
            ),
            broker.queues.GetQueueStats(queue_service_pb2.GetQueueStatsRequest(name="nowhere")),
        ]

        errors = [await refused(call) for call in calls]

        assert {error.code() for error in errors} == {grpc.StatusCode.NOT_FOUND}

    async def test_an_ordered_message_may_not_have_a_delay_of_its_own(self, broker: RunningBroker) -> None:
        await broker.create()
        message = message_pb2.QueueMessage(text="a", ordering_key="k", delay=duration(1))

        request = producer_service_pb2.SendMessageRequest(queue="work", message=message)
        error = await refused(broker.producer.SendMessage(request))

        assert violations(error) == {"message.delay": "may not be set on a message with an ordering_key"}

    async def test_messages_of_one_key_come_one_after_the_other(self, broker: RunningBroker) -> None:
        await broker.create()
        messages = [message_pb2.QueueMessage(text=text, ordering_key="k") for text in "abc"]
        await broker.producer.SendMessages(producer_service_pb2.SendMessagesRequest(queue="work", messages=messages))
        waiting = asyncio.create_task(broker.pull(wait=30))

        received = []
        for _ in range(3):
            async with asyncio.timeout(10):
                (leased,) = await waiting
            received.append(leased.message.text)
            waiting = asyncio.create_task(broker.pull(wait=30))
            await broker.settle(message_pb2.Settlement(lease_id=leased.lease_id, ack=message_pb2.Ack()))
        waiting.cancel()

        assert received == ["a", "b", "c"]

    async def test_a_message_that_nobody_has_can_be_cancelled(self, broker: RunningBroker) -> None:
        await broker.create()
        leased_id, waiting_id = await broker.send("a", "b")
        await broker.pull(max_messages=1)
        cancel = broker.producer.CancelMessage

        await cancel(producer_service_pb2.CancelMessageRequest(queue="work", message_id=waiting_id))
        held = await refused(cancel(producer_service_pb2.CancelMessageRequest(queue="work", message_id=leased_id)))
        gone = await refused(cancel(producer_service_pb2.CancelMessageRequest(queue="work", message_id=waiting_id)))

        assert (held.code(), read_error(held).reason) == (grpc.StatusCode.FAILED_PRECONDITION, "MESSAGE_LEASED")
        assert (gone.code(), read_error(gone).reason) == (grpc.StatusCode.NOT_FOUND, "MESSAGE_NOT_FOUND")
        assert (await broker.stats()).cancelled_total == 1

    async def test_a_full_backlog_says_when_to_come_back(self, broker: RunningBroker) -> None:
        queue = queue_pb2.Queue(name="small", max_backlog_messages=1)
        await broker.queues.CreateQueue(queue_service_pb2.CreateQueueRequest(queue=queue))

        request = producer_service_pb2.SendMessagesRequest(
            queue="small", messages=[message_pb2.QueueMessage(text="a")] * 2
        )
        error = await refused(broker.producer.SendMessages(request))

        assert (error.code(), read_error(error).reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "BACKLOG_FULL")
        assert read_error(error).retry_delay is not None
