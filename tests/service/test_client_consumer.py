"""A decorated function as a consumer, on a real broker: over a stream, and by pulls."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import pytest

from baton.email.v1.email_pb2 import PlainEmail
from baton.queue.v1 import message_pb2, queue_pb2, queue_service_pb2
from baton_client import Batch, CallError, Client, LeaseOutcome, Message, NewMessage, Reject, Release, Retry
from tests.support.eventually import eventually
from tests.support.running_broker import RunningBroker, duration
from tests.support.worker import WITHIN, got, working

Mode = Literal["stream", "pull"]
AT_ONCE = queue_pb2.RetryPolicy(initial_delay=duration(0), max_retries=3)
NOW = timedelta()


@pytest.fixture(params=["stream", "pull"])
def mode(request: pytest.FixtureRequest) -> Mode:
    return "pull" if request.param == "pull" else "stream"


@pytest.fixture
async def client(broker: RunningBroker) -> AsyncIterator[Client]:
    await broker.create(retry_policy=AT_ONCE, dead_letter_queue="dead", max_batch_timeout=duration(0))
    async with Client(broker.address, consumer_instance="worker-7") as made:
        yield made


@dataclass
class Order:
    number: int
    item: str


async def acked(broker: RunningBroker, count: int, queue: str = "work") -> queue_pb2.QueueStats:
    return await eventually(lambda: broker.stats(queue), lambda stats: stats.acked_total >= count)


async def dead_letters(broker: RunningBroker, count: int = 1) -> list[message_pb2.QueueMessage]:
    await eventually(lambda: broker.stats("dead"), lambda stats: stats.ready_count >= count)
    return [leased.message for leased in await broker.pull("dead")]


class TestOutcomes:
    async def test_what_a_handler_returns_from_is_acked(
        self, broker: RunningBroker, client: Client, mode: Mode
    ) -> None:
        seen: asyncio.Queue[Any] = asyncio.Queue()

        @client.consumer("work", mode=mode)
        async def handle(message: Message[str]) -> None:
            seen.put_nowait((message.body, message.attempt, message.queue, message.last_attempt))

        await broker.send("a", "b")
        async with working(client):
            assert sorted(await got(seen, 2)) == [("a", 1, "work", False), ("b", 1, "work", False)]  # type: ignore[type-var]
            stats = await acked(broker, 2)
        assert (stats.leased_count, stats.retried_total) == (0, 0)

    async def test_an_exception_is_a_retry_under_its_own_name(
        self, broker: RunningBroker, client: Client, mode: Mode
    ) -> None:
        attempts: asyncio.Queue[Any] = asyncio.Queue()

        @client.consumer("work", mode=mode)
        async def handle(message: Message[str]) -> None:
            attempts.put_nowait((message.attempt, message.last_attempt))
            raise ZeroDivisionError("no such luck")

        await broker.send("a")
        async with working(client):
            seen = await got(attempts, 4)
            (dead,) = await dead_letters(broker)
        assert seen == [(1, False), (2, False), (3, False), (4, True)]
        failure = dead.dead_letter.failures[0]
        assert (failure.code, failure.description) == ("ZeroDivisionError", "no such luck")
        assert failure.consumer_instance == "worker-7"

    async def test_retry_says_when_and_why(self, broker: RunningBroker, client: Client, mode: Mode) -> None:
        seen: asyncio.Queue[Any] = asyncio.Queue()

        @client.consumer("work", mode=mode)
        async def handle(message: Message[str]) -> None:
            seen.put_nowait(message.id)
            raise Retry(timedelta(hours=1), code="BUSY", description="come back later")

        await broker.send("a")
        async with working(client):
            (message_id,) = await got(seen)
            await eventually(broker.stats, lambda stats: stats.retried_total == 1)
        request = queue_service_pb2.GetMessageRequest(queue="work", message_id=str(message_id))
        peeked = (await broker.queues.GetMessage(request)).message
        assert peeked.state == queue_service_pb2.PeekedMessage.STATE_DELAYED
        assert [failure.code for failure in peeked.failures] == ["BUSY"]
        wait = peeked.ready_time.ToDatetime() - peeked.failures[0].failure_time.ToDatetime()
        assert wait == timedelta(hours=1)

    async def test_reject_goes_to_the_dead_letters_at_once(
        self, broker: RunningBroker, client: Client, mode: Mode
    ) -> None:
        @client.consumer("work", mode=mode)
        async def handle(message: Message[str]) -> None:
            raise Reject("UNPAYABLE", "the card is gone")

        await broker.send("a")
        async with working(client):
            (dead,) = await dead_letters(broker)
        assert dead.dead_letter.reason == message_pb2.DeadLetter.REASON_REJECTED
        assert dead.dead_letter.failures[0].code == "UNPAYABLE"
        assert dead.dead_letter.attempts == 1

    async def test_release_costs_no_attempt(self, broker: RunningBroker, client: Client, mode: Mode) -> None:
        seen: asyncio.Queue[Any] = asyncio.Queue()

        @client.consumer("work", mode=mode)
        async def handle(message: Message[str]) -> None:
            seen.put_nowait((message.attempt, message.delivery_count))
            if message.delivery_count == 1:
                raise Release

        await broker.send("a")
        async with working(client):
            assert await got(seen, 2) == [(1, 1), (1, 2)]
            await acked(broker, 1)

    async def test_the_first_word_on_a_message_counts(self, broker: RunningBroker, client: Client, mode: Mode) -> None:
        outcomes: asyncio.Queue[Any] = asyncio.Queue()

        @client.consumer("work", mode=mode)
        async def handle(message: Message[str]) -> None:
            outcomes.put_nowait(await message.ack())
            outcomes.put_nowait(await message.retry(NOW))
            raise RuntimeError("after the ack")

        await broker.send("a")
        async with working(client):
            assert await got(outcomes, 2) == [LeaseOutcome.APPLIED, LeaseOutcome.APPLIED]
        stats = await broker.stats()
        assert (stats.acked_total, stats.retried_total) == (1, 0)

    async def test_a_handler_that_takes_too_long_is_stopped_and_its_message_retried(
        self, broker: RunningBroker, client: Client, mode: Mode
    ) -> None:
        stopped: asyncio.Queue[Any] = asyncio.Queue()

        @client.consumer("work", mode=mode, timeout=timedelta(milliseconds=50))
        async def handle(message: Message[str]) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                stopped.put_nowait(message.attempt)

        await broker.send("a")
        async with working(client):
            assert await got(stopped, 4) == [1, 2, 3, 4]
            (dead,) = await dead_letters(broker)
        assert dead.dead_letter.failures[0].code == "TIMEOUT"


class TestBodies:
    async def test_a_handler_takes_what_its_annotation_says(self, broker: RunningBroker, client: Client) -> None:
        seen: asyncio.Queue[Any] = asyncio.Queue()
        for queue in ("texts", "orders", "emails", "lists", "bytes", "any"):
            await broker.create(queue, max_batch_timeout=duration(0))

        @client.consumer("texts")
        async def texts(body: str) -> None:
            seen.put_nowait(body)

        @client.consumer("orders")
        async def orders(message: Message[Order]) -> None:
            seen.put_nowait(message.body)

        @client.consumer("emails")
        async def emails(email: PlainEmail) -> None:
            seen.put_nowait(email)

        @client.consumer("lists")
        async def lists(message: Message[list[int]]) -> None:
            seen.put_nowait(message.body)

        @client.consumer("bytes", decode=bytes.hex)
        async def raw(text: str) -> None:
            seen.put_nowait(text)

        @client.consumer("any")
        async def whatever(message: Message[Any]) -> None:
            seen.put_nowait(message.body)

        sent = {
            "texts": "hello",
            "orders": Order(7, "shoes"),
            "emails": PlainEmail(subject="Hi", body="there"),
            "lists": [1, 2, 3],
            "bytes": b"\xff\x00",
            "any": PlainEmail(subject="known"),
        }
        for queue, body in sent.items():
            await client.send(queue, body)
        async with working(client):
            received = await got(seen, len(sent))
        expected = [*sent.values()]
        expected[4] = "ff00"
        assert sorted(map(repr, received)) == sorted(map(repr, expected))

    async def test_a_body_that_a_handler_does_not_take_is_rejected(self, broker: RunningBroker, client: Client) -> None:
        seen: asyncio.Queue[Any] = asyncio.Queue()

        @client.consumer("work")
        async def handle(order: Order) -> None:
            seen.put_nowait(order.number)

        await client.producer("work").send_all(["no JSON", {"number": 1}, [1], Order(5, "shirt"), b"\x00"])
        async with working(client):
            assert await got(seen) == [5]
            dead = await dead_letters(broker, 4)
        assert {message.dead_letter.failures[0].code for message in dead} == {"BODY_INVALID"}
        assert len(dead) == 4

    async def test_a_message_brings_all_that_was_sent_with_it(self, broker: RunningBroker, client: Client) -> None:
        seen: asyncio.Queue[Message[str]] = asyncio.Queue()

        @client.consumer("work")
        async def handle(message: Message[str]) -> None:
            seen.put_nowait(message)

        sent = await client.send("work", NewMessage(body="a", attributes={"traceparent": "00-1"}, ordering_key="k"))
        async with working(client):
            async with asyncio.timeout(WITHIN):
                message = await seen.get()
        assert (message.id, message.ordering_key, dict(message.attributes)) == (
            sent.message_id,
            "k",
            {"traceparent": "00-1"},
        )
        assert message.dead_letter is None
        assert message.send_time.tzinfo is not None


class TestBatches:
    async def test_messages_of_a_batch_are_settled_on_their_own(
        self, broker: RunningBroker, client: Client, mode: Mode
    ) -> None:
        seen: asyncio.Queue[Any] = asyncio.Queue()

        @client.consumer("work", mode=mode, max_batch_size=3)
        async def handle(batch: Batch[str]) -> None:
            seen.put_nowait([(message.body, message.attempt) for message in batch])
            for message in batch:
                if message.body == "good":
                    message.ack()
                elif message.body == "bad" and message.attempt == 1:
                    message.retry(NOW, code="ONCE_MORE")
            raise_if(batch[0].attempt == 1)

        def raise_if(first: bool) -> None:
            if first:
                raise RuntimeError("the rest has failed")

        await broker.send("good", "bad", "rest")
        async with working(client):
            assert await got(seen, 1) == [[("good", 1), ("bad", 1), ("rest", 1)]]
            stats = await acked(broker, 3)
        assert (stats.retried_total, stats.delivered_total) == (2, 5)

    async def test_a_batch_waits_for_its_size_or_its_time(self, broker: RunningBroker, client: Client) -> None:
        sizes: asyncio.Queue[Any] = asyncio.Queue()

        @client.consumer("work", max_batch_size=4, max_batch_timeout=timedelta(milliseconds=300))
        async def handle(batch: Batch[str]) -> None:
            sizes.put_nowait(len(batch))

        async with working(client):
            await broker.send("1", "2", "3")
            await broker.send("4", "5")
            assert await got(sizes, 2) == [4, 1]

    async def test_a_word_on_the_whole_batch_leaves_what_was_said_before(
        self, broker: RunningBroker, client: Client
    ) -> None:
        done: asyncio.Queue[Any] = asyncio.Queue()

        @client.consumer("work", max_batch_size=3)
        async def handle(batch: Batch[str]) -> None:
            if len(batch) == 3:
                batch[1].ack()
                batch.retry_all(NOW)
                batch.ack_all()
            done.put_nowait([message.body for message in batch])

        await broker.send("a", "b", "c")
        async with working(client):
            assert await got(done) == [["a", "b", "c"]]
            stats = await acked(broker, 3)
        assert stats.retried_total == 2


class TestLimits:
    async def test_no_more_is_worked_on_at_once_than_told(
        self, broker: RunningBroker, client: Client, mode: Mode
    ) -> None:
        at_work, most, begun = 0, 0, asyncio.Event()
        go_on = asyncio.Event()

        @client.consumer("work", mode=mode, concurrency=3, prefetch=2)
        async def handle(message: Message[str]) -> None:
            nonlocal at_work, most
            at_work += 1
            most = max(most, at_work)
            if at_work == 3:
                begun.set()
            await go_on.wait()
            at_work -= 1

        await broker.send(*(str(number) for number in range(12)))
        async with working(client):
            async with asyncio.timeout(WITHIN):
                await begun.wait()
            stats = await eventually(broker.stats, lambda stats: stats.leased_count == 5)
            go_on.set()
            await acked(broker, 12)
        assert (most, stats.ready_count) == (3, 7)

    async def test_a_lease_is_renewed_for_as_long_as_its_message_is_worked_on(
        self, broker: RunningBroker, client: Client, mode: Mode
    ) -> None:
        begun: asyncio.Queue[Any] = asyncio.Queue()
        go_on = asyncio.Event()

        @client.consumer("work", mode=mode, visibility_timeout=timedelta(seconds=1))
        async def handle(message: Message[str]) -> None:
            begun.put_nowait(message.attempt)
            await go_on.wait()

        (message_id,) = await broker.send("a")
        request = queue_service_pb2.GetMessageRequest(queue="work", message_id=message_id)

        async def lease_end() -> float:
            peeked = (await broker.queues.GetMessage(request)).message
            return peeked.lease_expire_time.ToDatetime().timestamp()

        async with working(client):
            await got(begun)
            first = await lease_end()
            await eventually(lease_end, lambda end: end > first + 1.5)
            go_on.set()
            stats = await acked(broker, 1)
        assert (stats.delivered_total, stats.retried_total, begun.qsize()) == (1, 0, 0)


class TestRefusals:
    @pytest.mark.parametrize(("queue", "reason"), [("nowhere", "QUEUE_NOT_FOUND"), ("pushed", "QUEUE_IS_PUSHED")])
    async def test_a_queue_that_cannot_be_consumed_ends_the_work(
        self, broker: RunningBroker, client: Client, mode: Mode, queue: str, reason: str
    ) -> None:
        push = queue_pb2.PushTarget(address="127.0.0.1:1", batch=queue_pb2.BatchCall())
        await broker.create("pushed", push=push)

        @client.consumer(queue, mode=mode)
        async def handle(message: Message[str]) -> None: ...

        with pytest.raises(CallError) as caught:
            async with asyncio.timeout(WITHIN):
                await client.consume(asyncio.Event())

        assert caught.value.reason == reason

    async def test_a_client_with_nothing_to_do_says_so(self, client: Client) -> None:
        with pytest.raises(ValueError, match="nothing to consume"):
            await client.consume(asyncio.Event())
