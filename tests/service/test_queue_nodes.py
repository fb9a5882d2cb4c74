"""Two brokers on one PostgreSQL database, as their callers meet them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TypeAlias

import grpc
import pytest
import sqlalchemy as sa

from baton.queue.v1 import batch_handler_service_pb2, message_pb2, queue_pb2, queue_service_pb2
from baton.queue.v1 import consumer_service_pb2 as pb
from tests.support.eventually import eventually
from tests.support.many_nodes import RunningNode, running_node
from tests.support.postgres import emptied
from tests.support.push_target import Context, push_target, settlement
from tests.support.running_broker import duration

Stream: TypeAlias = "grpc.aio.StreamStreamCall[pb.StreamMessagesRequest, pb.StreamMessagesResponse]"
Task = queue_pb2.RedriveTask


@pytest.fixture
def url(postgres: str) -> str:
    return emptied(postgres)


@pytest.fixture
async def pair(url: str) -> AsyncIterator[tuple[RunningNode, RunningNode]]:
    async with running_node(url, "here") as here, running_node(url, "there") as there:
        yield here, there


def count_nodes(url: str) -> int:
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        found: int = connection.exec_driver_sql("SELECT count(*) FROM nodes").scalar_one()
    engine.dispose()
    return found


def strike_off(url: str, number: int) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DELETE FROM nodes WHERE number = {number}")
    engine.dispose()


async def opened(node: RunningNode) -> Stream:
    call = node.consumer.StreamMessages()
    opening = pb.StreamMessagesRequest.Open(queue="work", max_batch_timeout=duration(0))
    await call.write(pb.StreamMessagesRequest(open=opening))
    return call


async def batch_of(call: Stream) -> list[str]:
    async with asyncio.timeout(20):
        while True:
            response = await call.read()
            assert isinstance(response, pb.StreamMessagesResponse), "the stream ended"
            if response.HasField("batch"):
                return [leased.message.text for leased in response.batch.messages]


async def test_a_queue_made_on_one_node_is_there_on_the_other_when_its_maker_hears_of_it(
    pair: tuple[RunningNode, RunningNode],
) -> None:
    here, there = pair

    await here.create()
    await there.send("a")
    await there.queues.DeleteQueue(queue_service_pb2.DeleteQueueRequest(name="work", force=True))

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await here.send("b")
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


async def test_what_is_sent_to_one_node_wakes_who_waits_at_the_other(pair: tuple[RunningNode, RunningNode]) -> None:
    here, there = pair
    await here.create()
    waiting = asyncio.create_task(there.pull(wait=20))
    await eventually(lambda: _waited_for(there), bool)

    await here.send("a")

    async with asyncio.timeout(2):
        assert [leased.message.text for leased in await waiting] == ["a"]


async def test_news_that_are_lost_only_delay_who_waits(pair: tuple[RunningNode, RunningNode]) -> None:
    here, there = pair
    await here.create()
    here.application.broker.leasing.tell = None
    waiting = asyncio.create_task(there.pull(wait=20))
    await eventually(lambda: _waited_for(there), bool)

    await here.send("a")

    async with asyncio.timeout(10):
        assert [leased.message.text for leased in await waiting] == ["a"]


async def test_two_nodes_push_a_queue_one_at_a_time_and_the_one_that_is_left_goes_on(url: str) -> None:
    under_way, most, seen = 0, 0, asyncio.Queue[str]()

    async def handle(
        request: batch_handler_service_pb2.DeliverBatchRequest, context: Context
    ) -> AsyncIterator[batch_handler_service_pb2.DeliverBatchResponse]:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        for leased in request.messages:
            seen.put_nowait(leased.message.text)
            await asyncio.sleep(0)
            yield settlement(leased, ack=message_pb2.Ack())
        under_way -= 1

    async with push_target() as target, running_node(url, "there") as there:
        target.handle = handle
        async with running_node(url, "here") as here:
            push = queue_pb2.PushTarget(address=target.address, batch=queue_pb2.BatchCall())
            await here.create(max_concurrency=1, max_batch_size=1, max_batch_timeout=duration(0), push=push)
            await asyncio.gather(*(node.send(str(n)) for n in range(20) for node in (here, there)))
            async with asyncio.timeout(20):
                first = [await seen.get() for _ in range(40)]

        await there.send("after one of them left")
        async with asyncio.timeout(20):
            last = await seen.get()

    assert (most, len(first), last) == (1, 40, "after one of them left")


async def test_a_redrive_is_seen_and_cancelled_on_whichever_node(pair: tuple[RunningNode, RunningNode]) -> None:
    here, there = pair
    await here.create("work", dead_letter_queue="dead")
    await here.send(*map(str, range(20)), queue="dead")
    task = queue_pb2.RedriveTask(redrive_task_id="t", queue="dead", destination="work", max_messages_per_second=10)
    await here.queues.CreateRedriveTask(queue_service_pb2.CreateRedriveTaskRequest(redrive_task=task))

    async def shown() -> queue_pb2.RedriveTask:
        request = queue_service_pb2.GetRedriveTaskRequest(redrive_task_id="t")
        return (await there.queues.GetRedriveTask(request)).redrive_task

    await eventually(shown, lambda task: task.moved_count >= 2)
    request = queue_service_pb2.CancelRedriveTaskRequest(redrive_task_id="t")
    cancelled = (await there.queues.CancelRedriveTask(request)).redrive_task

    assert cancelled.state == Task.STATE_CANCELLED
    assert cancelled.moved_count == (await here.stats("work")).ready_count < 20


async def test_what_a_dead_node_held_for_its_streams_comes_back_at_no_cost(
    pair: tuple[RunningNode, RunningNode],
) -> None:
    here, there = pair
    await here.create(visibility_timeout=duration(600))
    await here.send("a")
    stream = await opened(here)
    assert await batch_of(stream) == ["a"]
    await _stop_its_heart(here)
    assert here.membership is not None
    here.membership.close()

    (again,) = await there.pull(wait=20)

    assert (again.message.text, again.attempt) == ("a", 1)
    stream.cancel()


async def test_what_a_frozen_node_holds_is_left_to_it_as_long_as_its_connection_stands(
    url: str, pair: tuple[RunningNode, RunningNode]
) -> None:
    here, there = pair
    await here.create(visibility_timeout=duration(600))
    await here.send("a")
    stream = await opened(here)
    assert await batch_of(stream) == ["a"]
    await _stop_its_heart(here)

    assert not await there.pull(wait=3)

    assert count_nodes(url) == 2
    stream.cancel()


async def test_a_node_that_was_taken_for_dead_ends_its_streams_and_begins_anew(
    url: str, pair: tuple[RunningNode, RunningNode]
) -> None:
    here, _ = pair
    await here.create()
    await here.send("a")
    stream = await opened(here)
    assert await batch_of(stream) == ["a"]
    before = here.number

    strike_off(url, before)

    assert await _end_of(stream) is grpc.StatusCode.UNAVAILABLE
    await eventually(lambda: _number(here), lambda number: number != before)
    await here.send("b")


async def test_a_node_that_stops_leaves_nothing_behind(url: str) -> None:
    async with running_node(url, "there") as there:
        async with running_node(url, "here") as here:
            await here.create()
            await here.send("a")

        assert count_nodes(url) == 1
        assert (await there.stats()).sent_total == 1


async def _end_of(stream: Stream) -> grpc.StatusCode:
    async with asyncio.timeout(20):
        with suppress(grpc.aio.AioRpcError):
            while await stream.read() is not grpc.aio.EOF:
                pass
        return await stream.code()


async def _number(node: RunningNode) -> int:
    return node.number


async def _waited_for(node: RunningNode) -> list[tuple[int, str]]:
    return node.application.broker.leasing.waited_for()


async def _stop_its_heart(node: RunningNode) -> None:
    assert node.node is not None
    for loop in node.node._loops:
        loop.cancel()
    await asyncio.gather(*node.node._loops, return_exceptions=True)
