"""Sends through the client: gathered, several in flight, safe to repeat, fair to their neighbours."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from baton.queue.v1 import producer_service_pb2, queue_pb2, queue_service_pb2
from baton.queue.v1.producer_service_pb2_grpc import add_ProducerServiceServicer_to_server
from baton_client import BodyError, CallError, NewMessage
from baton_client.connection import Connection
from baton_client.producer import Producer
from mesh.clock import SystemClock
from mesh.database import sqlite_url
from mesh.errors import Unavailable
from queue_service.app import QueueApplication
from queue_service.producer_servicer import ProducerServicer
from queue_service.storage.memory import MemoryStore
from queue_service.storage.sql import SqlStore
from tests.support.processes import free_port
from tests.support.running import serving
from tests.support.running_broker import RunningBroker, running_broker

Servicer = Callable[[ProducerServicer], Any]


class Calls:
    """Counts the calls of a client: each has an id of its own, and its repeats the same."""

    def __init__(self) -> None:
        self._ids = itertools.count()
        self.made = 0

    def __call__(self) -> str:
        self.made += 1
        return f"call-{next(self._ids)}"


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture
async def connection(broker: RunningBroker, calls: Calls) -> AsyncIterator[Connection]:
    await broker.create()
    made = Connection(broker.address, new_id=calls)
    yield made
    await made.close()


async def bodies(broker: RunningBroker) -> list[str]:
    return [leased.message.text for leased in await broker.pull(max_messages=1000)]


class TestGathering:
    async def test_what_is_sent_in_one_go_goes_out_in_one_call(
        self, broker: RunningBroker, connection: Connection, calls: Calls
    ) -> None:
        producer = Producer(connection, "work")

        results = await asyncio.gather(*(producer.send(str(number)) for number in range(200)))

        assert calls.made == 1
        assert len({result.message_id for result in results}) == 200
        assert await bodies(broker) == [str(number) for number in range(200)]

    async def test_what_is_sent_while_calls_are_under_way_gathers_for_the_next(
        self, broker: RunningBroker, connection: Connection, calls: Calls
    ) -> None:
        producer = Producer(connection, "work", in_flight=2)

        async def one(number: int) -> None:
            for step in range(10):
                await producer.send(f"{number}:{step}")

        await asyncio.gather(*(one(number) for number in range(32)))

        assert (await broker.stats()).sent_total == 320
        assert calls.made < 64

    async def test_a_message_travels_with_all_that_was_said_of_it(
        self, broker: RunningBroker, connection: Connection
    ) -> None:
        at = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
        message = NewMessage(
            body={"pairs": [1, 2]},
            attributes={"traceparent": "00-1"},
            deduplication_id="order-7",
            deliver_time=datetime(2020, 1, 1, tzinfo=UTC),
            expire_time=datetime.now(UTC) + timedelta(days=2),
            content_type="",
        )
        producer = Producer(connection, "work")

        first = await producer.send(message)
        second = await producer.send(message)

        (leased,) = await broker.pull()
        assert leased.message.json == '{"pairs":[1,2]}'
        assert dict(leased.message.attributes) == {"traceparent": "00-1"}
        assert (first.deduplicated, second.deduplicated) == (False, True)
        assert first.message_id == second.message_id == leased.message.message_id
        assert leased.message.expire_time.ToDatetime(UTC) < at

    async def test_many_together_are_all_or_none(self, broker: RunningBroker, connection: Connection) -> None:
        producer = Producer(connection, "work")

        with pytest.raises(CallError) as caught:
            await producer.send_all(["a", NewMessage(body="b", delay=timedelta(days=8))])
        results = await producer.send_all(["a", "b"])

        assert caught.value.reason == "FIELD_INVALID"
        assert [found.field for found in caught.value.violations] == ["messages[1].delay"]
        assert len(results) == (await broker.stats()).sent_total == 2


class TestNeighbours:
    async def test_one_bad_message_fails_alone_and_says_what_is_wrong(
        self, broker: RunningBroker, connection: Connection
    ) -> None:
        producer = Producer(connection, "work")
        late = NewMessage(body="late", delay=timedelta(days=8))

        results = await asyncio.gather(
            producer.send("a"), producer.send(late), producer.send("b"), return_exceptions=True
        )

        assert isinstance(results[1], CallError)
        assert (results[1].code, results[1].reason) == ("INVALID_ARGUMENT", "FIELD_INVALID")
        assert [found.field for found in results[1].violations] == ["delay"]
        assert "7" in results[1].violations[0].description
        assert await bodies(broker) == ["a", "b"]

    async def test_a_reused_deduplication_id_fails_alone(self, broker: RunningBroker, connection: Connection) -> None:
        producer = Producer(connection, "work")
        await producer.send(NewMessage(body="first", deduplication_id="d"))
        others = [NewMessage(body=str(number)) for number in range(20)]

        results = await asyncio.gather(
            *(producer.send(each) for each in others[:7]),
            producer.send(NewMessage(body="second", deduplication_id="d")),
            *(producer.send(each) for each in others[7:]),
            return_exceptions=True,
        )

        failed = [result for result in results if isinstance(result, BaseException)]
        assert [error.reason for error in failed if isinstance(error, CallError)] == ["DEDUPLICATION_ID_REUSED"]
        assert len(failed) == 1
        assert (await broker.stats()).sent_total == 21

    async def test_what_cannot_be_sent_is_refused_before_it_is(self, connection: Connection, calls: Calls) -> None:
        producer = Producer(connection, "work")

        with pytest.raises(BodyError, match="object"):
            await producer.send(object())
        with pytest.raises(BodyError, match="JSON"):
            await producer.send({"when": float("nan")})
        with pytest.raises(ValueError, match="time zone"):
            await producer.send(NewMessage(body="a", deliver_time=datetime(2030, 1, 1)))  # noqa: DTZ001  # what is refused

        assert calls.made == 0

    async def test_a_queue_that_is_not_there_is_said_to_each(self, connection: Connection, calls: Calls) -> None:
        producer = Producer(connection, "nowhere")

        results = await asyncio.gather(producer.send("a"), producer.send("b"), return_exceptions=True)

        assert [error.reason for error in results if isinstance(error, CallError)] == ["QUEUE_NOT_FOUND"] * 2
        assert calls.made == 1


class LosesAnswers(QueueApplication):
    """Stores the first sends and answers as if it could not."""

    losses = 3

    def register(self, server: grpc.aio.Server) -> Any:
        names = super().register(server)
        add_ProducerServiceServicer_to_server(LosingServicer(self), server)
        return names


class LosingServicer(ProducerServicer):
    def __init__(self, application: LosesAnswers) -> None:
        super().__init__(application.broker, application._rules)
        self._application = application
        self._before: set[str] = set()

    async def SendMessages(self, request: producer_service_pb2.SendMessagesRequest, context: Any) -> Any:
        answer = await super().SendMessages(request, context)
        if len(self._before) < self._application.losses and request.request_id not in self._before:
            self._before.add(request.request_id)
            raise Unavailable("STORAGE_UNAVAILABLE", "the answer is lost")
        return answer


class TestRepeats:
    async def test_a_send_whose_answer_was_lost_is_stored_once(self) -> None:
        application = LosesAnswers(MemoryStore(), [], SystemClock())
        async with serving(application) as address:
            connection = Connection(address)
            request = queue_service_pb2.CreateQueueRequest(queue=queue_pb2.Queue(name="work"))
            await connection.call(connection.queues.CreateQueue, request)
            producer = Producer(connection, "work")

            results = [await producer.send("a"), *(await producer.send_all(["b", "c"])), await producer.send("d")]

            stats_request = queue_service_pb2.GetQueueStatsRequest(name="work")
            stats = (await connection.call(connection.queues.GetQueueStats, stats_request)).stats
            await connection.close()
        assert stats.sent_total == len({result.message_id for result in results}) == 4

    async def test_a_broker_that_comes_back_gets_what_was_sent_meanwhile(self, tmp_path: Path) -> None:
        url, address = sqlite_url(tmp_path / "queue.db"), f"127.0.0.1:{free_port()}"
        async with running_broker(SqlStore(url), listen=address) as broker:
            await broker.create()
        connection = Connection(address)
        producer = Producer(connection, "work")

        sending = [asyncio.create_task(producer.send(str(number))) for number in range(10)]
        await asyncio.wait(sending, timeout=0.3)
        async with running_broker(SqlStore(url), listen=address) as broker:
            await asyncio.gather(*sending)
            assert await bodies(broker) == [str(number) for number in range(10)]
        await connection.close()

    async def test_messages_of_a_key_keep_their_order_whatever_becomes_of_calls(self) -> None:
        application = LosesAnswers(MemoryStore(), [], SystemClock())
        application.losses = 5
        async with serving(application) as address:
            connection = Connection(address)
            request = queue_service_pb2.CreateQueueRequest(queue=queue_pb2.Queue(name="work"))
            await connection.call(connection.queues.CreateQueue, request)
            producer = Producer(connection, "work", in_flight=4)

            async def one(key: str, number: int) -> None:
                await producer.send(NewMessage(body=str(number), ordering_key=key))

            tasks = []
            for number in range(30):
                tasks += [asyncio.create_task(one(key, number)) for key in ("k", "l")]
                await asyncio.sleep(0)
            await asyncio.gather(*tasks)
            peek = queue_service_pb2.PeekMessagesRequest(name="work", page_size=1000)
            found = (await connection.call(connection.queues.PeekMessages, peek)).messages
            await connection.close()
        for key in ("k", "l"):
            ordered = sorted((m.message for m in found if m.message.ordering_key == key), key=lambda m: m.message_id)
            assert [message.text for message in ordered] == [str(number) for number in range(30)]


class TestRoom:
    async def test_a_full_queue_is_filled_to_the_brim_and_the_rest_waits_for_room(self, broker: RunningBroker) -> None:
        queue = queue_pb2.Queue(name="small", max_backlog_messages=10)
        await broker.queues.CreateQueue(queue_service_pb2.CreateQueueRequest(queue=queue))
        connection = Connection(broker.address)
        producer = Producer(connection, "small")

        sending = [asyncio.create_task(producer.send(str(number))) for number in range(15)]
        async with asyncio.timeout(20):
            while sum(task.done() for task in sending) < 10:
                await asyncio.wait(sending, timeout=0.05)
        await broker.queues.PurgeQueue(queue_service_pb2.PurgeQueueRequest(name="small", force=True))
        await asyncio.gather(*sending)

        assert (await broker.stats("small")).sent_total == 15
        await connection.close()

    async def test_a_send_that_cannot_be_confirmed_in_time_says_that_it_may_be_stored(self) -> None:
        connection = Connection(f"127.0.0.1:{free_port()}")
        producer = Producer(connection, "work")

        with pytest.raises(CallError, match="stored or not") as caught:
            await producer.send("a", timeout=timedelta(milliseconds=200))
        with pytest.raises(CallError, match="stored or not"):
            await producer.send_all(["a"], timeout=timedelta(milliseconds=200))

        assert caught.value.code == "DEADLINE_EXCEEDED"
        assert "Connection refused" in str(caught.value)
        await producer.close()
        await connection.close()

    async def test_who_sends_faster_than_the_broker_takes_waits(
        self, broker: RunningBroker, connection: Connection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("baton_client.producer.MOST_WAITING_BYTES", 10_000)
        producer, most = Producer(connection, "work"), 0

        async def one() -> None:
            nonlocal most
            await producer.send("x" * 1000)

        tasks = [asyncio.create_task(one()) for _ in range(200)]
        while not all(task.done() for task in tasks):
            most = max(most, producer.waiting_bytes)
            await asyncio.sleep(0)

        assert (await broker.stats()).sent_total == 200
        assert most < 12_000

    async def test_who_waits_for_room_keeps_the_order_of_a_key(
        self, broker: RunningBroker, connection: Connection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("baton_client.producer.MOST_WAITING_BYTES", 5000)
        producer = Producer(connection, "work")

        async def one(number: int) -> None:
            await producer.send(NewMessage(body=str(number).rjust(900), ordering_key="k"))

        tasks = []
        for number in range(100):
            tasks.append(asyncio.create_task(one(number)))
            await asyncio.wait(tasks, timeout=0.001 if number % 3 == 0 else 0)
        await asyncio.gather(*tasks)

        peek = queue_service_pb2.PeekMessagesRequest(name="work", page_size=1000)
        found = [each.message for each in (await broker.queues.PeekMessages(peek)).messages]
        ordered = sorted(found, key=lambda message: message.message_id)
        assert [int(message.text) for message in ordered] == list(range(100))
