"""Handlers that misbehave: each of their messages is settled all the same, and its neighbours are none the worse."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any, Literal

import pytest

from baton.queue.v1 import message_pb2, queue_pb2
from baton_client import Batch, BodyError, Client, Message, Outcome, Reject, Release, Retry
from tests.support.eventually import eventually
from tests.support.running_broker import RunningBroker, duration
from tests.support.worker import got, working

Mode = Literal["stream", "pull"]
ONCE = queue_pb2.RetryPolicy(max_retries=0)


@pytest.fixture(params=["stream", "pull"])
def mode(request: pytest.FixtureRequest) -> Mode:
    return "pull" if request.param == "pull" else "stream"


@pytest.fixture
async def client(broker: RunningBroker) -> AsyncIterator[Client]:
    await broker.create(retry_policy=ONCE, dead_letter_queue="dead", max_batch_timeout=duration(0))
    async with Client(broker.address) as made:
        yield made


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words for it")


class Unheard(Outcome):
    """One of the caller's own making, which the broker refuses."""

    def settlement(self, lease_id: str) -> message_pb2.Settlement:
        return message_pb2.Settlement(lease_id=lease_id, retry=message_pb2.Retry(delay=duration(-1)))


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (lambda: Retry(5), "TypeError"),  # type: ignore[arg-type]  # what a caller gets wrong
        (lambda: Retry(timedelta(days=8)), "ValueError"),
        (lambda: Retry(timedelta.max), "ValueError"),
        (lambda: Retry(code=7), "AttributeError"),  # type: ignore[arg-type]
        (lambda: Release(timedelta(seconds=-1)), "ValueError"),
        (lambda: Reject(None), "AttributeError"),  # type: ignore[arg-type]
        (lambda: Outcome(), "NotImplementedError"),
        (lambda: Unspeakable(), "Unspeakable"),
        (lambda: asyncio.CancelledError(), "CancelledError"),
    ],
)
async def test_whatever_a_handler_raises_its_message_has_failed_and_its_neighbours_are_done(
    broker: RunningBroker, client: Client, mode: Mode, failure: Callable[[], BaseException], code: str
) -> None:
    @client.consumer("work", mode=mode)
    async def handle(message: Message[str]) -> None:
        if message.body == "bad":
            raise failure()

    await broker.send("a", "bad", "b", "c")
    async with working(client):
        await eventually(lambda: broker.stats("dead"), lambda stats: stats.ready_count == 1, within=5)
        stats = await eventually(broker.stats, lambda stats: stats.acked_total == 3, within=5)

    (dead,) = await broker.pull("dead")
    assert dead.message.text == "bad"
    assert dead.message.dead_letter.failures[0].code == code
    assert (stats.leased_count, stats.retried_total) == (0, 0)


async def test_a_settlement_that_the_broker_refuses_spoils_none_of_its_neighbours(
    broker: RunningBroker, client: Client, mode: Mode
) -> None:
    @client.consumer("work", mode=mode)
    async def handle(message: Message[str]) -> None:
        if message.body == "bad":
            raise Unheard

    await broker.send("a", "bad", "b", "c")
    async with working(client):
        stats = await eventually(broker.stats, lambda stats: stats.acked_total == 3, within=5)

    assert stats.leased_count == 1  # until its lease has run out


async def test_a_handler_that_cancels_itself_has_failed(broker: RunningBroker, client: Client, mode: Mode) -> None:
    @client.consumer("work", mode=mode)
    async def handle(message: Message[str]) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    await broker.send("a")
    async with working(client):
        await eventually(lambda: broker.stats("dead"), lambda stats: stats.ready_count == 1, within=5)


async def test_a_batch_that_is_settled_one_by_one_is_followed_by_batches(
    broker: RunningBroker, client: Client, mode: Mode
) -> None:
    sizes: asyncio.Queue[Any] = asyncio.Queue()

    @client.consumer("work", mode=mode, max_batch_size=5, prefetch=1)
    async def handle(batch: Batch[str]) -> None:
        sizes.put_nowait(len(batch))
        for message in batch:
            await message.ack()

    await broker.send(*(str(number) for number in range(40)))
    async with working(client):
        await eventually(broker.stats, lambda stats: stats.acked_total == 40)
        seen = await got(sizes, sizes.qsize())

    assert len(seen) < 20


class TestDecoration:
    @pytest.fixture
    def client(self) -> Client:
        return Client("127.0.0.1:1")

    @pytest.mark.parametrize(
        ("settings", "error"),
        [
            ({"concurrency": 0}, ValueError),
            ({"timeout": timedelta()}, ValueError),
            ({"timeout": 5}, TypeError),
            ({"visibility_timeout": 5}, TypeError),
            ({"max_batch_timeout": 5}, TypeError),
        ],
    )
    def test_a_setting_that_cannot_be_meant_is_refused_where_it_is_made(
        self, client: Client, settings: dict[str, Any], error: type[Exception]
    ) -> None:
        async def handle(message: Message[str]) -> None: ...

        with pytest.raises(error, match=next(iter(settings))):
            client.consumer("work", **settings)(handle)

    def test_a_decorator_without_a_queue_is_refused(self, client: Client) -> None:
        async def handle(message: Message[str]) -> None: ...

        with pytest.raises(TypeError, match="name of a queue"):
            client.consumer(handle)  # type: ignore[arg-type]

    def test_a_parameter_that_has_to_be_named_is_refused(self, client: Client) -> None:
        async def handle(*, message: Message[str]) -> None: ...

        with pytest.raises(TypeError, match="one parameter"):
            client.consumer("work")(handle)  # type: ignore[type-var]

    def test_a_body_that_no_message_can_have_is_refused(self, client: Client) -> None:
        async def handle(pair: tuple[int, int]) -> None: ...

        with pytest.raises(BodyError, match="tuple"):
            client.consumer("work")(handle)


async def test_a_number_is_a_float_however_it_was_written(broker: RunningBroker, client: Client) -> None:
    seen: asyncio.Queue[Any] = asyncio.Queue()

    @client.consumer("work")
    async def handle(number: float) -> None:
        seen.put_nowait(number)

    await client.producer("work").send_all([1, 2.5])
    async with working(client):
        assert sorted(map(repr, await got(seen, 2))) == ["1.0", "2.5"]
