"""Connections break, and go dark in one direction or both: calls end, nothing is doubled or stranded, nothing leaks."""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import pytest

from baton.queue.v1 import consumer_service_pb2, queue_pb2
from mesh.channel import OPTIONS
from tests.support.black_hole import Proxy, Way, proxied
from tests.support.eventually import eventually
from tests.support.hasty_broker import HastyBroker
from tests.support.load import Load
from tests.support.processes import MeshProcesses
from tests.support.refusals import refused
from tests.support.running_broker import duration
from tests.support.stubs import Stubs
from tests.support.vitals import Vitals

TORTURE = bool(os.environ.get("BATON_TORTURE"))
CLIENTS, MESSAGES, TURNS = (6, 40_000, 100) if TORTURE else (2, 1_000, 6)
CUTS = 1_000 if TORTURE else 100
MANY = 20
DARK = 10.0 if TORTURE else 0.7
# Seconds by which a call may miss its deadline, on a machine that does a dozen things at a time.
SLACK = 2.0
# File descriptors that the broker may have more than before: of the connection that asks, and of one on its way out.
SPARE = 4
# MiB of memory that may stay: what the allocator keeps.
GROWTH = 30
WAYS = [(), (Way.TO_SERVER,), (Way.TO_CLIENT,)]
QUEUE = "errands"
Request = consumer_service_pb2.StreamMessagesRequest

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3_600 if TORTURE else 120)]
in_every_way = pytest.mark.parametrize("ways", WAYS, ids=["both ways", "to the server", "to the client"])


@pytest.fixture
async def broker(mesh: MeshProcesses) -> HastyBroker:
    hasty = mesh.queue = HastyBroker(mesh)
    await mesh.start(hasty)
    return hasty


@pytest.fixture
async def direct(broker: HastyBroker) -> AsyncIterator[Stubs]:
    """Past the proxy; with the queue made."""
    async with _channel(broker.address) as channel:
        stubs = Stubs(channel)
        policy = queue_pb2.RetryPolicy(initial_delay=duration(0), max_retries=100)
        await stubs.create(QUEUE, consumer=queue_pb2.ConsumerSettings(retry_policy=policy))
        yield stubs


@pytest.fixture
async def proxy(broker: HastyBroker) -> AsyncIterator[Proxy]:
    async with proxied(broker.address) as made:
        yield made


def _channel(address: str) -> grpc.aio.Channel:
    """A channel with a connection of its own."""
    return grpc.aio.insecure_channel(address, options=(*OPTIONS, ("grpc.use_local_subchannel_pool", 1)))


async def test_every_promise_is_kept_while_connections_break_and_go_dark(
    mesh: MeshProcesses, record_property: Callable[[str, object], None]
) -> None:
    chance = random.Random(7)
    await mesh.start(mesh.queue)
    async with proxied(mesh.queue.address) as proxy:
        load = Load(mesh, producers=CLIENTS, consumers=CLIENTS, messages=MESSAGES, addresses=[proxy.address])
        try:
            await load.start()
            for turn in range(TURNS):
                await asyncio.sleep(chance.uniform(0.2, 0.6))
                if turn % 4 < len(WAYS):
                    proxy.swallow(*WAYS[turn % 4])
                    await asyncio.sleep(DARK)
                    proxy.mend()
                proxy.cut()
            verdict = await load.finish()
        finally:
            await load.clean_up()

    record_property("history", verdict.counts)
    assert verdict.broken == {}
    assert verdict.counts["sent"] == load.sends


@in_every_way
async def test_every_call_into_a_black_hole_ends_by_its_deadline(
    direct: Stubs, proxy: Proxy, ways: tuple[Way, ...]
) -> None:
    async with _channel(proxy.address) as channel:
        stubs = Stubs(channel)
        await stubs.stats(QUEUE)
        proxy.swallow(*ways)
        begun = time.monotonic()
        calls: list[Awaitable[Any]] = [stubs.stats(QUEUE, timeout=1), stubs.pull(QUEUE, wait=5, timeout=1)]
        calls += [stubs.send(QUEUE, "a", timeout=1), _first_of(stubs.consumer.StreamMessages(timeout=1))]
        errors = await asyncio.gather(*(refused(call) for call in calls))
        seconds = time.monotonic() - begun

    assert {error.code() for error in errors} <= {grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE}
    assert seconds < 1 + SLACK


async def test_what_a_black_hole_swallowed_is_had_by_asking_again(direct: Stubs, proxy: Proxy) -> None:
    async with _channel(proxy.address) as channel:
        stubs = Stubs(channel)
        await stubs.stats(QUEUE)
        proxy.swallow(Way.TO_CLIENT)
        await refused(stubs.send(QUEUE, "a", "b", "c", request_id="one send", timeout=1))
        await refused(stubs.pull(QUEUE, request_id="one pull", timeout=1))
    proxy.mend()
    async with _channel(proxy.address) as channel:
        stubs = Stubs(channel)
        sent = await stubs.send(QUEUE, "a", "b", "c", request_id="one send")
        pulled, again = [await stubs.pull(QUEUE, request_id="one pull") for _ in range(2)]
        stats = await direct.stats(QUEUE)

    assert [leased.message.message_id for leased in pulled] == sent
    assert [leased.lease_id for leased in pulled] == [leased.lease_id for leased in again]
    assert (stats.sent_total, stats.delivered_total, stats.leased_count) == (3, 3, 3)


@in_every_way
async def test_what_a_consumer_in_a_black_hole_held_comes_to_another(
    direct: Stubs, proxy: Proxy, ways: tuple[Way, ...], record_property: Callable[[str, object], None]
) -> None:
    await direct.send(QUEUE, "a")
    async with _channel(proxy.address) as channel:
        call = Stubs(channel).consumer.StreamMessages()
        opening = Request.Open(queue=QUEUE, max_batch_timeout=duration(0), keep_leases=True)
        await call.write(Request(open=opening))
        while not (await call.read()).HasField("batch"):
            pass

        proxy.swallow(*ways)
        begun = time.monotonic()
        (again,) = await direct.pull(QUEUE, wait=30, timeout=40)
        seconds = time.monotonic() - begun
        call.cancel()

    record_property("seconds until it was noticed", f"{seconds:.1f}")
    assert (again.message.text, again.attempt) == ("a", 2)


async def test_many_broken_connections_leave_nothing_behind(
    broker: HastyBroker, direct: Stubs, proxy: Proxy, record_property: Callable[[str, object], None]
) -> None:
    vitals = Vitals(broker.pid)
    await direct.create("idle")
    await _break_many(proxy, swallowing=True)
    await eventually(lambda: direct.stats(QUEUE), lambda stats: stats.leased_count == 0)
    before, threads, memory = vitals.files, vitals.threads, vitals.memory
    for number in range(CUTS // MANY):
        await _break_many(proxy, swallowing=number % 5 == 0)
    await eventually(lambda: _files(vitals, direct), lambda files: files <= before + SPARE)
    stats = await eventually(lambda: direct.stats(QUEUE), lambda stats: stats.leased_count == 0)

    record_property("files, threads, MiB before", (before, threads, round(memory)))
    record_property("files, threads, MiB after", (vitals.files, vitals.threads, round(vitals.memory)))
    assert vitals.threads <= threads + SPARE
    assert vitals.memory < memory + GROWTH
    assert stats.ready_count + stats.delayed_count == stats.sent_total == CUTS + MANY


async def _break_many(proxy: Proxy, *, swallowing: bool) -> None:
    """Connections, each with a stream that holds a message and a poll that waits, break or go dark."""
    channels = [_channel(proxy.address) for _ in range(MANY)]
    polls = await asyncio.gather(*(_work_on(channel) for channel in channels))
    if swallowing:
        proxy.swallow()
    else:
        proxy.cut()
    await asyncio.gather(*(channel.close() for channel in channels))
    await asyncio.gather(*polls, return_exceptions=True)
    proxy.mend()


async def _work_on(channel: grpc.aio.Channel) -> "asyncio.Future[Any]":
    stubs = Stubs(channel)
    await stubs.send(QUEUE, "a")
    one = Request.FlowControl(max_outstanding_messages=1)
    call = stubs.consumer.StreamMessages()
    await call.write(Request(open=Request.Open(queue=QUEUE, max_batch_timeout=duration(0), flow_control=one)))
    async with asyncio.timeout(20):
        while not (await call.read()).HasField("batch"):
            pass
    return asyncio.ensure_future(stubs.pull("idle", wait=30, timeout=40))


async def _files(vitals: Vitals, direct: Stubs) -> int:
    await direct.stats(QUEUE)
    return vitals.files


async def _first_of(call: Any) -> None:
    await call.write(Request(open=Request.Open(queue=QUEUE)))
    await call.read()
