"""StreamMessages over a real server."""

import asyncio
from collections.abc import Callable

import grpc
import pytest

from baton.queue.v1 import consumer_service_pb2 as pb
from baton.queue.v1 import message_pb2, queue_pb2, queue_service_pb2
from mesh.status import read_error
from tests.support.running_broker import RunningBroker, duration, running_broker

Request = pb.StreamMessagesRequest
Notice = pb.StreamMessagesResponse.Notice
Outcome = message_pb2.LeaseOutcome


class Stream:
    """One consumer's stream, read past what a test does not look for."""

    def __init__(self, broker: RunningBroker) -> None:
        self.call = broker.consumer.StreamMessages()
        self.sequence = 0

    async def open(self, *, window: int | None = None, **fields: object) -> pb.StreamMessagesResponse:
        opening = Request.Open(queue="work", max_batch_timeout=duration(0), **fields)  # type: ignore[arg-type]
        if window is not None:
            opening.flow_control.max_outstanding_messages = window
        await self.call.write(Request(open=opening))
        return await self.until("opened")

    async def say(self, **request: object) -> None:
        self.sequence += 1
        await self.call.write(Request(sequence=self.sequence, **request))  # type: ignore[arg-type]

    async def until(
        self, kind: str, fits: Callable[[pb.StreamMessagesResponse], bool] = lambda _: True
    ) -> pb.StreamMessagesResponse:
        async with asyncio.timeout(20):
            while True:
                response = await self.call.read()
                assert isinstance(response, pb.StreamMessagesResponse), "the stream ended"
                if response.WhichOneof("response") == kind and fits(response):
                    return response

    async def batch(self) -> list[message_pb2.LeasedMessage]:
        return list((await self.until("batch")).batch.messages)

    async def notice(self, kind: "Notice.Kind.ValueType") -> pb.StreamMessagesResponse:
        return await self.until("notice", lambda response: response.notice.kind == kind)

    async def settle(self, leased: message_pb2.LeasedMessage, **action: object) -> pb.StreamMessagesResponse:
        settlement = message_pb2.Settlement(lease_id=leased.lease_id, **action)  # type: ignore[arg-type]
        await self.say(settle=Request.Settle(settlements=[settlement]))
        return await self.until("settled")

    async def ended(self) -> None:
        """Read to the end: gRPC gives no status before."""
        async with asyncio.timeout(20):
            while await self.call.read() is not grpc.aio.EOF:
                pass


def ack() -> message_pb2.Ack:
    return message_pb2.Ack()


async def gone(broker: RunningBroker, what: Callable[[queue_pb2.QueueStats], bool]) -> queue_pb2.QueueStats:
    async with asyncio.timeout(10):
        while not what(stats := await broker.stats()):
            pass
    return stats


async def test_messages_come_as_they_are_sent_and_are_settled_on_the_stream(broker: RunningBroker) -> None:
    await broker.create()
    stream = Stream(broker)
    opened = await stream.open()

    await broker.send("a")
    (leased,) = await stream.batch()
    settled = await stream.settle(leased, ack=ack())

    assert opened.opened.heartbeat_interval.seconds <= 15
    assert opened.opened.visibility_timeout.seconds == 30
    assert settled.sequence == 1
    assert settled.settled.results[0].outcome == Outcome.LEASE_OUTCOME_APPLIED
    assert (await broker.stats()).acked_total == 1


async def test_the_window_counts_what_is_delivered_and_not_settled(broker: RunningBroker) -> None:
    await broker.create()
    await broker.send("a", "b", "c")
    stream = Stream(broker)
    await stream.open(window=2)
    first, _ = await stream.batch()
    assert (await broker.stats()).ready_count == 1

    await stream.settle(first, ack=ack())

    assert [leased.message.text for leased in await stream.batch()] == ["c"]


async def test_the_window_counts_bytes_too(broker: RunningBroker) -> None:
    await broker.create()
    await broker.send("x" * 1000, "y" * 1000)
    stream = Stream(broker)
    opening = Request.Open(queue="work", max_batch_timeout=duration(0))
    opening.flow_control.max_outstanding_bytes = 900
    await stream.call.write(Request(open=opening))

    (first,) = await stream.batch()
    assert (await broker.stats()).ready_count == 1
    await stream.settle(first, ack=ack())

    assert len(await stream.batch()) == 1


async def test_a_closed_window_opens_again(broker: RunningBroker) -> None:
    await broker.create()
    await broker.send("a")
    stream = Stream(broker)
    await stream.open(window=0)
    assert (await broker.stats()).ready_count == 1

    await stream.say(flow_control=Request.FlowControl(max_outstanding_messages=1))

    assert len(await stream.batch()) == 1


async def test_a_bad_request_is_a_notice_and_the_stream_lives_on(broker: RunningBroker) -> None:
    await broker.create()
    stream = Stream(broker)
    await stream.open()
    await stream.say(settle=Request.Settle(settlements=[message_pb2.Settlement(lease_id="x")]))
    rejected = await stream.notice(Notice.KIND_REQUEST_REJECTED)
    await stream.say(open=Request.Open(queue="work"))
    again = await stream.notice(Notice.KIND_REQUEST_REJECTED)

    await broker.send("a")

    assert rejected.sequence == 1
    assert rejected.notice.status.message == "settle.settlements[0].action: is required"
    assert again.sequence == 2
    assert len(await stream.batch()) == 1


@pytest.mark.parametrize(
    ("opening", "code", "reason"),
    [
        (Request(), grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID"),
        (Request(drain=Request.Drain()), grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID"),
        (Request(open=Request.Open(queue="work", max_batch_size=0)), grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID"),
        (Request(open=Request.Open(queue="nowhere")), grpc.StatusCode.NOT_FOUND, "QUEUE_NOT_FOUND"),
    ],
)
async def test_a_stream_that_cannot_begin_says_why(
    broker: RunningBroker, opening: Request, code: grpc.StatusCode, reason: str
) -> None:
    await broker.create()
    call = broker.consumer.StreamMessages()
    await call.write(opening)

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()

    assert (caught.value.code(), read_error(caught.value).reason) == (code, reason)


async def test_a_broken_stream_fails_what_it_held(broker: RunningBroker) -> None:
    policy = queue_pb2.RetryPolicy(max_retries=0)
    await broker.create(retry_policy=policy, dead_letter_queue="dead")
    await broker.send("a")
    stream = Stream(broker)
    await stream.open()
    await stream.batch()

    stream.call.cancel()

    (dead,) = await broker.pull("dead", wait=10)
    assert dead.message.dead_letter.failures[0].code == "STREAM_LOST"


async def test_a_broken_streams_consumer_may_still_say_what_it_has_done(broker: RunningBroker) -> None:
    policy = queue_pb2.RetryPolicy(initial_delay=duration(60))
    await broker.create(retry_policy=policy)
    await broker.send("a", "b")
    stream = Stream(broker)
    await stream.open()
    first, second = await stream.batch()
    stream.call.cancel()
    await gone(broker, lambda stats: not stats.leased_count)

    outcomes = await broker.settle(
        message_pb2.Settlement(lease_id=first.lease_id, ack=ack()),
        message_pb2.Settlement(lease_id=second.lease_id, retry=message_pb2.Retry(delay=duration(0))),
    )

    assert outcomes == [message_pb2.LEASE_OUTCOME_APPLIED_LATE] * 2
    (again,) = await broker.pull()
    assert (again.message.text, again.attempt) == ("b", 2)
    assert (await broker.stats()).retried_total == 2


async def test_what_is_unsettled_at_a_half_close_is_released_free(broker: RunningBroker) -> None:
    await broker.create()
    await broker.send("a", "b")
    stream = Stream(broker)
    await stream.open()
    first, _ = await stream.batch()
    await stream.settle(first, ack=ack())

    await stream.call.done_writing()

    await stream.ended()
    stats = await gone(broker, lambda stats: not stats.leased_count)
    assert (stats.ready_count, stats.retried_total, stats.released_total) == (1, 0, 1)
    assert await stream.call.code() == grpc.StatusCode.OK


async def test_after_a_drain_nothing_more_comes_but_settling_goes_on(broker: RunningBroker) -> None:
    await broker.create()
    await broker.send("a")
    stream = Stream(broker)
    await stream.open()
    (leased,) = await stream.batch()
    await stream.say(drain=Request.Drain())
    await stream.until("heartbeat")

    await broker.send("b")
    settled = await stream.settle(leased, ack=ack())

    assert settled.settled.results[0].outcome == Outcome.LEASE_OUTCOME_APPLIED
    assert (await broker.stats()).ready_count == 1


async def test_kept_leases_outlive_the_visibility_timeout(broker: RunningBroker) -> None:
    await broker.create(visibility_timeout=duration(1))
    await broker.send("a")
    stream = Stream(broker)
    await stream.open(keep_leases=True)
    (leased,) = await stream.batch()

    for _ in range(5):
        await stream.until("heartbeat")

    settled = await stream.settle(leased, ack=ack())
    assert settled.settled.results[0].outcome == Outcome.LEASE_OUTCOME_APPLIED
    assert (await broker.stats()).delivered_total == 1


async def test_a_lease_that_ran_out_is_a_notice_and_leaves_room(broker: RunningBroker) -> None:
    policy = queue_pb2.RetryPolicy(initial_delay=duration(3600))
    await broker.create(visibility_timeout=duration(1), retry_policy=policy)
    await broker.send("a", "b")
    stream = Stream(broker)
    await stream.open(window=1)
    (leased,) = await stream.batch()

    lost = await stream.notice(Notice.KIND_LEASES_LOST)

    assert list(lost.notice.lease_ids) == [leased.lease_id]
    assert [leased.message.text for leased in await stream.batch()] == ["b"]


async def test_pause_and_resume_are_notices(broker: RunningBroker) -> None:
    await broker.create()
    stream = Stream(broker)
    await stream.open()
    await broker.queues.PauseQueue(queue_service_pb2.PauseQueueRequest(name="work"))
    await stream.notice(Notice.KIND_PAUSED)
    await broker.send("a")

    await broker.queues.ResumeQueue(queue_service_pb2.ResumeQueueRequest(name="work"))

    await stream.notice(Notice.KIND_RESUMED)
    assert len(await stream.batch()) == 1


async def test_leases_are_extended_on_the_stream(broker: RunningBroker) -> None:
    await broker.create()
    await broker.send("a")
    stream = Stream(broker)
    await stream.open()
    (leased,) = await stream.batch()

    await stream.say(extend=Request.Extend(lease_ids=[leased.lease_id], visibility_timeout=duration(3600)))

    extended = (await stream.until("extended")).extended.extensions
    assert extended[0].lease_expire_time.seconds > leased.lease_expire_time.seconds + 3000


async def test_a_queue_that_goes_ends_its_streams(broker: RunningBroker) -> None:
    await broker.create()
    stream = Stream(broker)
    await stream.open()

    await broker.queues.DeleteQueue(queue_service_pb2.DeleteQueueRequest(name="work"))

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async with asyncio.timeout(10):
            await stream.call.read()
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


async def test_a_stopping_broker_says_so_and_takes_what_is_settled_in_time() -> None:
    async with running_broker() as broker:
        await broker.create()
        await broker.send("a")
        stream = Stream(broker)
        await stream.open()
        (leased,) = await stream.batch()

        await broker.application.drain()
        await stream.notice(Notice.KIND_SERVER_DRAINING)
        settled = await stream.settle(leased, ack=ack())

        assert settled.settled.results[0].outcome == Outcome.LEASE_OUTCOME_APPLIED
        async with asyncio.timeout(10):
            assert await stream.call.read() is grpc.aio.EOF
