"""What a client does when it is told to stop, and when its broker does."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import grpc
import pytest

from baton.queue.v1 import consumer_service_pb2, queue_pb2
from baton.queue.v1.consumer_service_pb2_grpc import add_ConsumerServiceServicer_to_server
from baton_client import Client, Closed, LeaseOutcome, Message
from mesh.channel import open_channel
from mesh.clock import SystemClock
from mesh.database import sqlite_url
from queue_service.app import QueueApplication
from queue_service.consumer_servicer import ConsumerServicer
from queue_service.queue_definition import ConsumerSettings, Queue
from queue_service.storage.memory import MemoryStore
from queue_service.storage.sql import SqlStore
from tests.support.black_hole import proxied
from tests.support.eventually import eventually
from tests.support.processes import free_port
from tests.support.running import serving
from tests.support.running_broker import RunningBroker, duration, running_broker
from tests.support.worker import WITHIN, got, working

Mode = Literal["stream", "pull"]


@pytest.fixture(params=["stream", "pull"])
def mode(request: pytest.FixtureRequest) -> Mode:
    return "pull" if request.param == "pull" else "stream"


@pytest.fixture
async def client(broker: RunningBroker) -> AsyncIterator[Client]:
    await broker.create(max_batch_timeout=duration(0))
    async with Client(broker.address) as made:
        yield made


class HoldsAnswers(QueueApplication):
    """Leases messages to its first poll, and never tells."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.leased = asyncio.Event()

    def register(self, server: grpc.aio.Server) -> Any:
        names = super().register(server)
        add_ConsumerServiceServicer_to_server(HoldingServicer(self), server)
        return names


class HoldingServicer(ConsumerServicer):
    def __init__(self, application: HoldsAnswers) -> None:
        super().__init__(application.broker, application._rules, application._clock)
        self._leased = application.leased

    async def PullMessages(self, request: consumer_service_pb2.PullMessagesRequest, context: Any) -> Any:
        answer = await super().PullMessages(request, context)
        if not self._leased.is_set():
            self._leased.set()
            await asyncio.Event().wait()
        return answer


class TestDrain:
    async def test_what_has_begun_ends_and_the_rest_goes_back_at_no_cost(
        self, broker: RunningBroker, client: Client, mode: Mode
    ) -> None:
        begun: asyncio.Queue[Any] = asyncio.Queue()
        go_on = asyncio.Event()

        @client.consumer("work", mode=mode, concurrency=2, prefetch=3)
        async def handle(message: Message[str]) -> None:
            begun.put_nowait(message.body)
            await go_on.wait()

        await broker.send(*"abcdefgh")
        async with working(client) as worker:
            assert await got(begun, 2) == ["a", "b"]
            await eventually(broker.stats, lambda stats: stats.leased_count == 5)
            worker.stop.set()
            await eventually(broker.stats, lambda stats: stats.leased_count == 2)
            go_on.set()
            await worker.drained()

        stats = await broker.stats()
        assert begun.empty()
        assert (stats.acked_total, stats.released_total, stats.retried_total) == (2, 3, 0)
        assert (stats.ready_count, stats.leased_count) == (6, 0)

    async def test_what_does_not_end_within_the_grace_is_given_back(
        self, broker: RunningBroker, client: Client, mode: Mode
    ) -> None:
        begun: asyncio.Queue[Any] = asyncio.Queue()

        @client.consumer("work", mode=mode)
        async def handle(message: Message[str]) -> None:
            begun.put_nowait(message.body)
            await asyncio.Event().wait()

        await broker.send("a")
        async with working(client, grace=timedelta(milliseconds=50)):
            await got(begun)

        stats = await broker.stats()
        assert (stats.released_total, stats.retried_total, stats.ready_count) == (1, 0, 1)

    async def test_a_settlement_after_the_end_says_that_it_came_too_late(
        self, broker: RunningBroker, client: Client
    ) -> None:
        kept: list[Message[str]] = []
        taken = asyncio.Event()

        @client.consumer("work")
        async def handle(message: Message[str]) -> None:
            kept.append(message)
            taken.set()
            await asyncio.Event().wait()

        await broker.send("a")
        async with working(client, grace=timedelta()):
            await taken.wait()

        assert await kept[0].ack() is LeaseOutcome.APPLIED  # of the release, which came first

    async def test_a_drain_that_is_cut_short_costs_no_attempt(
        self, broker: RunningBroker, client: Client, mode: Mode
    ) -> None:
        begun: asyncio.Queue[Any] = asyncio.Queue()

        @client.consumer("work", mode=mode, concurrency=2, prefetch=1)
        async def handle(message: Message[str]) -> None:
            begun.put_nowait(message.body)
            await asyncio.Event().wait()

        await broker.send(*"abc")
        consuming = asyncio.create_task(client.consume(asyncio.Event()))
        await got(begun, 2)
        await eventually(broker.stats, lambda stats: stats.leased_count == 3)
        consuming.cancel()
        await asyncio.wait((consuming,))

        stats = await broker.stats()
        assert (stats.released_total, stats.retried_total, stats.ready_count) == (3, 0, 3)

    async def test_what_the_last_poll_brings_goes_back_at_no_cost(self) -> None:
        application = HoldsAnswers(MemoryStore(), [], SystemClock())
        async with serving(application) as address, open_channel(address) as channel:
            broker = RunningBroker(channel, application)
            await broker.create(max_batch_timeout=duration(0))
            await broker.send("a", "b")
            client = Client(address)
            handled: list[str] = []

            @client.consumer("work", mode="pull")
            async def handle(message: Message[str]) -> None:
                handled.append(message.body)

            async with working(client) as worker:
                async with asyncio.timeout(WITHIN):
                    await application.leased.wait()
                await worker.drained()
            stats = await broker.stats()
        assert handled == []
        assert (stats.released_total, stats.leased_count, stats.ready_count) == (2, 0, 2)

    async def test_rolling_restarts_of_a_fleet_do_nothing_twice(self, broker: RunningBroker, mode: Mode) -> None:
        await broker.create(max_batch_timeout=duration(0))
        done: list[str] = []
        expected = [str(number) for number in range(300)]
        await broker.send(*expected)

        async def one_life(lives: int) -> None:
            for _ in range(lives):
                client = Client(broker.address)
                some = asyncio.Event()

                @client.consumer("work", mode=mode, concurrency=4, prefetch=4)
                async def handle(message: Message[str], some: asyncio.Event = some) -> None:
                    await asyncio.sleep(0)
                    done.append(message.body)
                    some.set()

                async with working(client):
                    await some.wait()

        last = Client(broker.address)

        @last.consumer("work", mode=mode)
        async def handle(message: Message[str]) -> None:
            done.append(message.body)

        await asyncio.gather(*(one_life(3) for _ in range(4)))
        async with working(last):
            stats = await eventually(broker.stats, lambda stats: stats.acked_total == 300)

        assert sorted(done) == sorted(expected)
        assert stats.retried_total == 0


class TestBroker:
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return sqlite_url(tmp_path / "queue.db")

    async def test_a_consumer_outlives_its_broker_and_its_word_still_counts(self, url: str, mode: Mode) -> None:
        address = f"127.0.0.1:{free_port()}"
        begun: asyncio.Queue[Any] = asyncio.Queue()
        go_on = asyncio.Event()
        client = Client(address)

        @client.consumer("work", mode=mode)
        async def handle(message: Message[str]) -> None:
            begun.put_nowait((message.body, message.attempt))
            await go_on.wait()

        async with running_broker(SqlStore(url), listen=address) as broker:
            await broker.create(max_batch_timeout=duration(0), retry_policy=long_wait())
            await broker.send("a")
            running = working(client)
            await running.__aenter__()
            assert await got(begun) == [("a", 1)]
        go_on.set()
        async with running_broker(SqlStore(url), listen=address) as broker:
            await broker.send("b")
            assert ("b", 1) in await got(begun, 2 if mode == "stream" else 1)
            await eventually(broker.stats, lambda stats: stats.ready_count + stats.leased_count == 0)
            await running.__aexit__(None, None, None)

    async def test_a_stream_that_is_cut_is_opened_again_and_what_was_done_is_not_done_twice(
        self, broker: RunningBroker
    ) -> None:
        await broker.create(max_batch_timeout=duration(0), retry_policy=long_wait())
        begun: asyncio.Queue[Any] = asyncio.Queue()
        outcomes: asyncio.Queue[Any] = asyncio.Queue()
        go_on = asyncio.Event()
        async with proxied(broker.address) as proxy:
            client = Client(proxy.address)

            @client.consumer("work")
            async def handle(message: Message[str]) -> None:
                begun.put_nowait(message.body)
                await go_on.wait()
                outcomes.put_nowait(await message.ack())

            async with working(client):
                await broker.send("a")
                assert await got(begun) == ["a"]
                proxy.cut()
                await eventually(broker.stats, lambda stats: stats.delayed_count == 1)
                go_on.set()
                assert await got(outcomes) == [LeaseOutcome.APPLIED_LATE]
                await broker.send("b")
                assert await got(begun) == ["b"]
        stats = await broker.stats()
        assert (stats.acked_total, stats.delivered_total) == (2, 2)

    async def test_what_waits_for_its_turn_when_its_stream_is_cut_is_not_worked_on_twice(
        self, broker: RunningBroker
    ) -> None:
        policy = queue_pb2.RetryPolicy(initial_delay=duration(0))
        await broker.create(max_batch_timeout=duration(0), retry_policy=policy)
        begun: asyncio.Queue[Any] = asyncio.Queue()
        go_on = asyncio.Event()
        async with proxied(broker.address) as proxy:
            client = Client(proxy.address)

            @client.consumer("work", concurrency=1, prefetch=4)
            async def handle(message: Message[str]) -> None:
                begun.put_nowait(message.body)
                await go_on.wait()

            async with working(client):
                await broker.send("a", "b", "c")
                assert await got(begun) == ["a"]
                await eventually(broker.stats, lambda stats: stats.leased_count == 3)
                proxy.cut()
                await eventually(broker.stats, lambda stats: (stats.retried_total, stats.leased_count) == (3, 3))
                go_on.set()
                stats = await eventually(broker.stats, lambda stats: stats.acked_total == 3)
        assert stats.delivered_total == 6
        assert sorted(begun.get_nowait() for _ in range(begun.qsize())) == ["a", "b", "c"]

    async def test_a_broker_that_is_not_there_yet_is_waited_for(self, url: str, mode: Mode) -> None:
        address = f"127.0.0.1:{free_port()}"
        seen: asyncio.Queue[Any] = asyncio.Queue()
        client = Client(address)

        @client.consumer("work", mode=mode)
        async def handle(message: Message[str]) -> None:
            seen.put_nowait(message.body)

        async with working(client) as worker:
            await worker.begun()
            async with running_broker(SqlStore(url), listen=address, declared=[declared()]) as broker:
                await broker.send("a")
                assert await got(seen) == ["a"]
                await eventually(broker.stats, lambda stats: stats.acked_total == 1)

    async def test_a_client_told_to_stop_while_its_broker_is_away_stops(self, mode: Mode) -> None:
        client = Client(f"127.0.0.1:{free_port()}")

        @client.consumer("work", mode=mode)
        async def handle(message: Message[str]) -> None: ...

        async with working(client) as worker:
            async with asyncio.timeout(WITHIN):
                await worker.drained()

    async def test_a_closed_client_takes_nothing_more(self, broker: RunningBroker, client: Client) -> None:
        producer = client.producer("work")

        @client.consumer("work")
        async def handle(message: Message[str]) -> None: ...

        await client.close()

        with pytest.raises(Closed):
            await producer.send("a")
        with pytest.raises(Closed):
            await producer.send_all(["a"])
        with pytest.raises(Closed):
            await client.send("other", "a")
        with pytest.raises(Closed):
            await client.consume(asyncio.Event())

    async def test_a_client_that_is_closed_while_it_consumes_says_so(
        self, broker: RunningBroker, client: Client, mode: Mode
    ) -> None:
        begun = asyncio.Event()

        @client.consumer("work", mode=mode)
        async def handle(message: Message[str]) -> None:
            begun.set()

        await broker.send("a")
        consuming = asyncio.create_task(client.consume(asyncio.Event()))
        async with asyncio.timeout(WITHIN):
            await begun.wait()
            await client.close()
            with pytest.raises(Closed):
                await consuming


def long_wait() -> queue_pb2.RetryPolicy:
    return queue_pb2.RetryPolicy(initial_delay=duration(60), jitter=0)


def declared() -> Queue:
    return Queue("work", consumer=ConsumerSettings(max_batch_timeout=0))
