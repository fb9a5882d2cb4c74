"""Batch push: a real broker calls a real BatchHandlerService."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from baton.queue.v1 import batch_handler_service_pb2 as pb
from baton.queue.v1 import message_pb2, queue_pb2, queue_service_pb2
from mesh.errors import Unavailable
from mesh.status import to_status
from tests.support.push_target import Context, PushTarget, push_target, settlement
from tests.support.running_broker import RunningBroker, duration

Response = pb.DeliverBatchResponse
AT_ONCE = queue_pb2.RetryPolicy(initial_delay=duration(0), max_retries=2)


@pytest.fixture
async def target() -> AsyncIterator[PushTarget]:
    async with push_target() as made:
        yield made


async def create(broker: RunningBroker, target: PushTarget, **consumer: Any) -> None:
    push = queue_pb2.PushTarget(address=target.address, batch=queue_pb2.BatchCall())
    plain: dict[str, Any] = {"max_batch_timeout": duration(0), "retry_policy": AT_ONCE, "push": push}
    await broker.create(**{**plain, **consumer})


async def acked(broker: RunningBroker, count: int) -> queue_pb2.QueueStats:
    """The figures once that many messages are acked: each look is a round trip, so the loop is no busy one."""
    async with asyncio.timeout(20):
        while (stats := await broker.stats()).acked_total < count:
            pass
    return stats


async def unreachable(broker: RunningBroker) -> None:
    async with asyncio.timeout(20):
        while (await broker.get()).push_status.state != queue_pb2.PushStatus.STATE_UNREACHABLE:
            pass


async def dead_letters(broker: RunningBroker) -> list[message_pb2.QueueMessage]:
    return [leased.message for leased in await broker.pull("dead", wait=20)]


class TestBatches:
    async def test_a_full_batch_goes_at_once(self, broker: RunningBroker, target: PushTarget) -> None:
        await create(broker, target, max_batch_size=3, max_batch_timeout=duration(60))

        await broker.send("a", "b", "c", "d")

        assert await target.texts() == ["a", "b", "c"]
        assert (await acked(broker, 3)).ready_count == 1

    async def test_a_small_batch_goes_when_its_time_is_up(self, broker: RunningBroker, target: PushTarget) -> None:
        await create(broker, target, max_batch_size=3, max_batch_timeout=duration(0.2))

        await broker.send("a")

        assert await target.texts() == ["a"]

    async def test_the_request_says_what_a_handler_must_know(self, broker: RunningBroker, target: PushTarget) -> None:
        await create(broker, target, visibility_timeout=duration(7))

        await broker.send("a")

        request = await target.batch()
        assert (request.queue, request.visibility_timeout.seconds) == ("work", 7)
        assert request.batch_id
        assert request.messages[0].attempt == 1

    async def test_batches_run_side_by_side_up_to_the_limit(self, broker: RunningBroker, target: PushTarget) -> None:
        release = asyncio.Event()

        async def wait(request: pb.DeliverBatchRequest, context: Context) -> AsyncIterator[Response]:
            await release.wait()
            return
            yield

        target.handle = wait
        await create(broker, target, max_batch_size=1, max_concurrency=2)

        await broker.send("a", "b", "c")

        assert [await target.texts(), await target.texts()] == [["a"], ["b"]]
        assert target.batches.empty()
        release.set()
        assert await target.texts() == ["c"]


class TestSettlement:
    async def test_a_handler_that_returns_has_acked_everything(self, broker: RunningBroker, target: PushTarget) -> None:
        await create(broker, target)

        await broker.send("a", "b")

        stats = await acked(broker, 2)
        assert (stats.ready_count, stats.leased_count) == (0, 0)

    async def test_what_was_acked_stays_acked_when_the_handler_dies(
        self, broker: RunningBroker, target: PushTarget
    ) -> None:
        async def ack_first_then_die(request: pb.DeliverBatchRequest, context: Context) -> AsyncIterator[Response]:
            yield settlement(request.messages[0], ack=message_pb2.Ack())
            if len(request.messages) > 1:
                await context.abort(grpc.StatusCode.INTERNAL, "died")

        target.handle = ack_first_then_die
        await create(broker, target)
        await broker.send("a", "b")

        first, second = await target.batch(), await target.batch()

        assert [leased.message.text for leased in first.messages] == ["a", "b"]
        assert [(leased.message.text, leased.attempt) for leased in second.messages] == [("b", 2)]
        assert (await acked(broker, 2)).retried_total == 1

    async def test_each_message_is_settled_on_its_own(self, broker: RunningBroker, target: PushTarget) -> None:
        async def settle(request: pb.DeliverBatchRequest, context: Context) -> AsyncIterator[Response]:
            for leased in request.messages:
                if leased.message.text == "bad":
                    yield settlement(leased, reject=message_pb2.Reject(code="BAD", description="cannot be read"))
                elif leased.attempt == 1:
                    yield settlement(leased, retry=message_pb2.Retry(delay=duration(0)))

        target.handle = settle
        await create(broker, target, dead_letter_queue="dead")
        await broker.send("good", "bad")

        (dead,) = await dead_letters(broker)

        assert dead.text == "bad"
        assert dead.dead_letter.failures[0].code == "BAD"
        assert (await acked(broker, 1)).retried_total == 1

    async def test_an_error_retries_the_rest_by_its_retry_info(self, broker: RunningBroker, target: PushTarget) -> None:
        async def busy(request: pb.DeliverBatchRequest, context: Context) -> AsyncIterator[Response]:
            status = status_pb2.Status(code=8, message="too many requests")
            status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=duration(3600)))
            await context.abort_with_status(rpc_status.to_status(status))
            yield

        target.handle = busy
        await create(broker, target)
        await broker.send("a")
        await target.batch()

        async with asyncio.timeout(10):
            while not (stats := await broker.stats()).delayed_count:
                pass
        assert stats.retried_total == 1

    async def test_the_last_failure_dead_letters_with_the_story(
        self, broker: RunningBroker, target: PushTarget
    ) -> None:
        async def die(request: pb.DeliverBatchRequest, context: Context) -> AsyncIterator[Response]:
            await context.abort(grpc.StatusCode.INTERNAL, "a fault of mine")
            yield

        target.handle = die
        await create(broker, target, dead_letter_queue="dead")
        await broker.send("a")

        (dead,) = await dead_letters(broker)

        record = dead.dead_letter
        assert (record.reason, record.attempts) == (message_pb2.DeadLetter.REASON_MAX_RETRIES, 3)
        assert [failure.code for failure in record.failures] == ["INTERNAL"] * 3
        assert record.failures[0].description == "a fault of mine"

    async def test_silence_for_a_visibility_timeout_fails_the_rest(
        self, broker: RunningBroker, target: PushTarget
    ) -> None:
        async def sleep(request: pb.DeliverBatchRequest, context: Context) -> AsyncIterator[Response]:
            yield settlement(request.messages[0], ack=message_pb2.Ack())
            if request.messages[0].attempt == 1:
                await asyncio.Event().wait()

        target.handle = sleep
        await create(broker, target, visibility_timeout=duration(1), max_batch_size=2)
        await broker.send("a", "b")
        await target.batch()

        again = await target.batch()

        assert [(leased.message.text, leased.attempt) for leased in again.messages] == [("b", 2)]

    async def test_a_response_renews_the_leases_of_the_rest(self, broker: RunningBroker, target: PushTarget) -> None:
        renewed = asyncio.Event()

        async def keep_alive(request: pb.DeliverBatchRequest, context: Context) -> AsyncIterator[Response]:
            for _ in range(6):
                await asyncio.sleep(0.4)
                yield Response()
            renewed.set()

        target.handle = keep_alive
        await create(broker, target, visibility_timeout=duration(1))
        await broker.send("a")

        async with asyncio.timeout(20):
            await renewed.wait()

        stats = await acked(broker, 1)
        assert (stats.delivered_total, stats.retried_total) == (1, 0)


class TestHostileHandlers:
    async def test_a_settlement_out_of_all_bounds_fails_its_message_and_nobody_elses(
        self, broker: RunningBroker, target: PushTarget
    ) -> None:
        async def absurd(request: pb.DeliverBatchRequest, context: Context) -> AsyncIterator[Response]:
            for leased in request.messages:
                if leased.message.text == "bad":
                    yield settlement(leased, retry=message_pb2.Retry(delay=Duration(seconds=10**15)))
                elif leased.message.text == "mute":
                    yield settlement(leased)

        target.handle = absurd
        await create(broker, target, dead_letter_queue="dead", retry_policy=queue_pb2.RetryPolicy(max_retries=0))
        await broker.send("bad", "good", "mute")

        dead = await dead_letters(broker)
        if len(dead) < 2:
            dead += await dead_letters(broker)

        assert sorted(message.text for message in dead) == ["bad", "mute"]
        assert {message.dead_letter.failures[0].code for message in dead} == {"SETTLEMENT_INVALID"}
        assert (await acked(broker, 1)).leased_count == 0

    async def test_what_a_handler_does_not_hold_it_does_not_settle(
        self, broker: RunningBroker, target: PushTarget
    ) -> None:
        async def foreign(request: pb.DeliverBatchRequest, context: Context) -> AsyncIterator[Response]:
            yield Response(settlements=[message_pb2.Settlement(lease_id="foreign", ack=message_pb2.Ack())] * 5000)

        target.handle = foreign
        await create(broker, target)

        await broker.send("a")

        assert (await acked(broker, 1)).delivered_total == 1

    async def test_an_update_lets_a_batch_under_way_go_on(self, broker: RunningBroker, target: PushTarget) -> None:
        release = asyncio.Event()

        async def wait(request: pb.DeliverBatchRequest, context: Context) -> AsyncIterator[Response]:
            await release.wait()
            return
            yield

        target.handle = wait
        await create(broker, target)
        await broker.send("a")
        await target.batch()
        change = queue_pb2.Queue(name="work", consumer=queue_pb2.ConsumerSettings(max_batch_size=3))

        await broker.queues.UpdateQueue(queue_service_pb2.UpdateQueueRequest(queue=change))
        release.set()

        stats = await acked(broker, 1)
        assert (stats.delivered_total, stats.released_total) == (1, 0)

    async def test_a_queue_made_anew_is_pushed_again(self, broker: RunningBroker, target: PushTarget) -> None:
        for text in ("first", "second"):
            await create(broker, target)
            await broker.send(text)
            assert await target.texts() == [text]
            await acked(broker, 1)
            await broker.queues.DeleteQueue(queue_service_pb2.DeleteQueueRequest(name="work", force=True))


class TestBreaker:
    async def test_a_wrong_address_spends_no_attempt_and_loses_nothing(
        self, broker: RunningBroker, target: PushTarget
    ) -> None:
        await target.stop()
        await create(broker, target, dead_letter_queue="dead")
        await broker.send("a")
        await unreachable(broker)

        await target.start()

        assert (await target.batch()).messages[0].attempt == 1
        await acked(broker, 1)
        assert (await broker.get()).push_status.state == queue_pb2.PushStatus.STATE_HEALTHY

    async def test_a_target_without_the_service_is_unreachable_until_it_has_it(
        self, broker: RunningBroker, target: PushTarget
    ) -> None:
        await target.stop()
        await target.start(batches=False)
        await create(broker, target, dead_letter_queue="dead")
        await broker.send("a")
        await unreachable(broker)
        assert (await broker.get()).push_status.reason.startswith("UNIMPLEMENTED")

        await target.stop()
        await target.start()

        await target.batch()
        stats = await acked(broker, 1)
        assert stats.dead_lettered_total == 0
        assert stats.retried_total <= 1  # the call that found the target out, on a ready channel

    async def test_probes_take_the_next_message_and_one_at_a_time(
        self, broker: RunningBroker, target: PushTarget
    ) -> None:
        healthy = asyncio.Event()
        under_way = 0

        async def away(request: pb.DeliverBatchRequest, context: Context) -> AsyncIterator[Response]:
            nonlocal under_way
            under_way += 1
            assert under_way == 1
            try:
                if not healthy.is_set():
                    await context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
            finally:
                under_way -= 1
            return
            yield

        target.handle = away
        await create(broker, target, max_batch_size=1, max_concurrency=1)
        await broker.send("a", "b", "c")

        probed = [await target.texts() for _ in range(4)]
        healthy.set()

        assert probed[1:4] == [["b"], ["c"], probed[3]]
        assert (await acked(broker, 3)).retried_total == 1

    async def test_unavailable_with_an_error_info_is_the_handlers_own_answer(
        self, broker: RunningBroker, target: PushTarget
    ) -> None:
        async def explain(request: pb.DeliverBatchRequest, context: Context) -> AsyncIterator[Response]:
            status = to_status(Unavailable("SMTP_451", "greylisted"), "email.baton")
            await context.abort_with_status(rpc_status.to_status(status))
            yield

        target.handle = explain
        await create(broker, target, dead_letter_queue="dead")
        await broker.send("a")

        (dead,) = await dead_letters(broker)

        assert dead.dead_letter.attempts == 3
        assert dead.dead_letter.failures[0].description == "SMTP_451: greylisted"
        assert (await broker.get()).push_status.state == queue_pb2.PushStatus.STATE_HEALTHY
