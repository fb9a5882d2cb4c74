"""The broker's wall clock is set forward and back: nothing comes early or is lost, and nothing overdue waits on."""

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from baton.queue.v1 import consumer_service_pb2, message_pb2, producer_service_pb2, queue_pb2, queue_service_pb2
from mesh.channel import open_channel
from mesh.clock import SECOND
from tests.support.eventually import eventually
from tests.support.processes import MeshProcesses, free_port
from tests.support.push_target import PushTarget
from tests.support.running_broker import duration
from tests.support.stepped_clock.stepped_clock import SteppedClock
from tests.support.stepped_clock.timekeeper import QUEUE, Timekeeper

TORTURE = bool(os.environ.get("BATON_TORTURE"))
MESSAGES, STEPS = (20_000, 60) if TORTURE else (1_500, 8)
SIZES = [sign * seconds * SECOND for sign in (1, -1) for seconds in (300, 3_600)]
BREATH = (0.3, 1.5) if TORTURE else (0.2, 0.6)
HOUR = 3_600 * SECOND
# Seconds in which what is overdue after a step has to come. The broker's timers look at the wall clock every second.
SOON = 5.0
# The lateness, in microseconds, that nothing may exceed even here, where two cores do a dozen things at a time.
LATE = 5 * SECOND

Request = consumer_service_pb2.StreamMessagesRequest

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1_200 if TORTURE else 120)]


@asynccontextmanager
async def keeping_time(mesh: MeshProcesses, clock: SteppedClock) -> AsyncIterator[Timekeeper]:
    await mesh.start(mesh.queue)
    async with open_channel(mesh.queue.address) as channel:
        yield Timekeeper(channel, clock, random.Random(7))


def shares(values: Sequence[int]) -> str:
    sorted_values = sorted(values)
    p50, p99 = (sorted_values[int(len(values) * share)] / 1_000 for share in (0.5, 0.99))
    return f"p50 {p50:.0f} ms, p99 {p99:.0f} ms, of {len(values)}"


async def test_a_clock_set_under_load_makes_nothing_early_and_loses_nothing(
    mesh: MeshProcesses, record_property: Callable[[str, object], None]
) -> None:
    clock, chance = SteppedClock(mesh), random.Random(20_261_125)
    sent: list[str] = []
    done = asyncio.Event()
    async with keeping_time(mesh, clock) as keeper:
        await keeper.make_queue()

        async def produce() -> None:
            for first in range(0, MESSAGES, 50):
                sent.extend(await keeper.send(keeper.drawn(range(first, first + 50))))
                await asyncio.sleep(STEPS * sum(BREATH) / 2 * 50 / MESSAGES)

        async def consume() -> None:
            while not (await keeper.turn() == 0 and done.is_set() and not await keeper.left()):
                pass

        consumer, producer = asyncio.create_task(consume()), asyncio.create_task(produce())
        furthest = 0
        for _ in range(STEPS):
            await asyncio.sleep(chance.uniform(*BREATH))
            await keeper.step(chance.choice(SIZES))
            furthest = max(furthest, clock.ahead)
        await producer
        await keeper.step(furthest - clock.ahead + 5 * SECOND)  # now all is due that is not retried
        done.set()
        await consumer

    record_property("lateness", shares(keeper.found.lateness))
    assert keeper.found.early == []
    assert Counter(keeper.found.acked) == Counter(sent)
    assert len(sent) == MESSAGES
    assert all(numbers == sorted(numbers) for numbers in keeper.found.keys.values())
    assert sorted(keeper.found.lateness)[int(len(keeper.found.lateness) * 0.99)] < LATE


async def test_what_is_overdue_after_a_step_forward_comes_soon(
    mesh: MeshProcesses, record_property: Callable[[str, object], None]
) -> None:
    clock = SteppedClock(mesh)
    async with keeping_time(mesh, clock) as keeper:
        await keeper.make_queue(visibility_timeout=duration(600))
        await keeper.send([message_pb2.QueueMessage(text="leased and forgotten")])
        pull = consumer_service_pb2.PullMessagesRequest(queue=QUEUE, max_messages=1)
        (forgotten,) = (await keeper.consumer.PullMessages(pull)).messages
        delays = [message_pb2.QueueMessage(text=str(number), delay=duration(300 + number)) for number in range(50)]
        await keeper.send(delays)
        stream = keeper.consumer.StreamMessages()
        await stream.write(Request(open=Request.Open(queue=QUEUE, max_batch_timeout=duration(0))))
        await stream.read()

        await keeper.step(HOUR)
        begun, came = time.monotonic(), dict[str, int]()
        async with asyncio.timeout(60):
            while len(came) <= len(delays):
                response = await stream.read()
                assert isinstance(response, consumer_service_pb2.StreamMessagesResponse)
                came |= {leased.message.text: leased.attempt for leased in response.batch.messages}
        seconds = time.monotonic() - begun
        stream.cancel()

    record_property("seconds until all that was overdue had come", f"{seconds:.2f}")
    assert came.pop(forgotten.message.text) == 2
    assert set(came.values()) == {1}
    assert seconds < SOON


async def test_what_waits_for_a_while_does_not_wait_for_a_clock_that_was_set_back(mesh: MeshProcesses) -> None:
    clock, target = SteppedClock(mesh), PushTarget()
    target.address = f"127.0.0.1:{free_port()}"
    async with keeping_time(mesh, clock) as keeper:
        await keeper.make_queue()
        await make_pushed(keeper, target.address)
        stream: Any = keeper.consumer.StreamMessages()
        opening = Request.Open(queue=QUEUE, visibility_timeout=duration(3), keep_leases=True)
        await stream.write(Request(open=opening))
        await stream.read()
        poll = asyncio.create_task(keeper.turn(wait=2))
        await asyncio.sleep(0.5)  # all of them wait by now

        await keeper.step(-HOUR)
        begun = time.monotonic()
        async with asyncio.timeout(30):
            while not (await stream.read()).HasField("heartbeat"):
                pass
            beat = time.monotonic() - begun
            polled = await poll
        await target.start()
        request = producer_service_pb2.SendMessagesRequest(
            queue="pushed", messages=[message_pb2.QueueMessage(text="after the step")]
        )
        await keeper.producer.SendMessages(request)
        assert await target.texts() == ["after the step"]
        stream.cancel()
        await target.stop()

    assert polled == 0
    assert beat < SOON


async def make_pushed(keeper: Timekeeper, address: str) -> None:
    """A queue that is pushed to where nobody is, and known to be."""
    push = queue_pb2.PushTarget(address=address, batch=queue_pb2.BatchCall())
    queue = queue_pb2.Queue(name="pushed", consumer=queue_pb2.ConsumerSettings(push=push))
    queue.consumer.max_batch_timeout.FromSeconds(0)
    await keeper.queues.CreateQueue(queue_service_pb2.CreateQueueRequest(queue=queue))
    await eventually(
        lambda: keeper.queues.GetQueue(queue_service_pb2.GetQueueRequest(name="pushed")),
        lambda found: found.queue.push_status.state == queue_pb2.PushStatus.STATE_UNREACHABLE,
    )


async def test_what_fell_due_while_the_broker_was_away_comes_soon_after_its_start(
    mesh: MeshProcesses, record_property: Callable[[str, object], None]
) -> None:
    clock = SteppedClock(mesh)
    async with keeping_time(mesh, clock) as keeper:
        await keeper.make_queue()
        delays = [message_pb2.QueueMessage(text=str(number), delay=duration(600 + number)) for number in range(200)]
        sent = await keeper.send(delays)
        await mesh.queue.kill()
        await keeper.step(HOUR)
        await mesh.start(mesh.queue)

    async with open_channel(mesh.queue.address) as channel:
        keeper = Timekeeper(channel, clock, random.Random(7))
        begun = time.monotonic()
        first = await keeper.turn(wait=10)
        seconds = time.monotonic() - begun
        while await keeper.left():
            await keeper.turn()

    record_property("seconds until the first of them came", f"{seconds:.2f}")
    assert first > 0
    assert seconds < SOON
    assert Counter(keeper.found.acked) == Counter(sent)
