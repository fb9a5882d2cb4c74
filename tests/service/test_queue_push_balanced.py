"""Push to several addresses of one target: spread over those that serve, and none of them missed when it is gone."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from baton.queue.v1 import message_pb2, producer_service_pb2, queue_pb2
from mesh.channel import service_config
from tests.support.eventually import eventually
from tests.support.push_target import METHOD, Context, PushTarget, Take
from tests.support.running_broker import RunningBroker, duration

AT_ONCE = queue_pb2.RetryPolicy(initial_delay=duration(0), max_retries=2)


class Pair:
    """Two places of one target, and who took what."""

    def __init__(self) -> None:
        self.places = {"a": PushTarget(), "b": PushTarget()}
        self.taken: Counter[str] = Counter()

    async def start(self) -> None:
        for name, place in self.places.items():
            place.take = self._take(name)
            await place.start(healthy=True)

    def _take(self, name: str) -> Take:
        async def take(request: bytes, context: Context) -> bytes:
            self.taken[name] += 1
            return b""

        return take

    @property
    def address(self) -> str:
        return "ipv4:" + ",".join(place.address for place in self.places.values())

    async def stop(self) -> None:
        await asyncio.gather(*(place.stop() for place in self.places.values()))


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    made = Pair()
    await made.start()
    yield made
    await made.stop()


async def create(broker: RunningBroker, address: str) -> None:
    push = queue_pb2.PushTarget(address=address, method=queue_pb2.MethodCall(method=METHOD))
    await broker.create(retry_policy=AT_ONCE, dead_letter_queue="dead", push=push)


async def send(broker: RunningBroker, pair: Pair, count: int) -> Counter[str]:
    """Send so many, wait until all are taken; who took them."""
    before = (await broker.stats()).acked_total
    pair.taken.clear()
    await broker.producer.SendMessages(sends(count))
    await eventually(broker.stats, lambda stats: stats.acked_total >= before + count)
    return pair.taken


def sends(count: int) -> producer_service_pb2.SendMessagesRequest:
    messages = [message_pb2.QueueMessage(data=b"x")] * count
    return producer_service_pb2.SendMessagesRequest(queue="work", messages=messages)


async def both_connected(broker: RunningBroker, pair: Pair) -> None:
    """The second connection may be up a moment after the first."""
    await eventually(lambda: send(broker, pair, 2), lambda taken: len(taken) == 2)


async def test_calls_are_spread_over_every_address(broker: RunningBroker, pair: Pair) -> None:
    await create(broker, pair.address)
    await both_connected(broker, pair)

    taken = await send(broker, pair, 100)

    assert taken["a"] == taken["b"] == 50


async def test_an_address_that_says_that_it_does_not_serve_is_left_alone_until_it_does(
    broker: RunningBroker, pair: Pair
) -> None:
    await create(broker, pair.address)
    await both_connected(broker, pair)
    await pair.places["a"].serve(healthy=False)
    await eventually(lambda: send(broker, pair, 2), lambda taken: taken["b"] == 2)

    assert await send(broker, pair, 50) == {"b": 50}

    await pair.places["a"].serve(healthy=True)
    await both_connected(broker, pair)
    assert (await broker.stats()).retried_total == 0


async def test_an_address_that_dies_costs_no_message(broker: RunningBroker, pair: Pair) -> None:
    await create(broker, pair.address)
    await both_connected(broker, pair)

    await pair.places["a"].stop()

    assert (await send(broker, pair, 100))["b"] >= 99
    stats = await broker.stats()
    assert (stats.dead_lettered_total, stats.dropped_total) == (0, 0)


async def test_a_target_that_drains_gets_nothing_and_nothing_is_lost(broker: RunningBroker, pair: Pair) -> None:
    for place in pair.places.values():
        await place.serve(healthy=False)
    await create(broker, pair.address)

    await broker.producer.SendMessages(sends(3))
    unreachable = queue_pb2.PushStatus.STATE_UNREACHABLE
    await eventually(broker.get, lambda queue: queue.push_status.state == unreachable)
    stats = await broker.stats()
    assert (stats.ready_count, stats.delivered_total) == (3, 0)

    await pair.places["b"].serve(healthy=True)
    await eventually(broker.stats, lambda stats: stats.acked_total == 3)
    assert pair.taken == {"b": 3}


async def test_a_target_without_a_health_service_serves(broker: RunningBroker, pair: Pair) -> None:
    plain = PushTarget()
    await plain.start()
    await create(broker, plain.address)

    await broker.producer.SendMessages(sends(1))

    async with asyncio.timeout(20):
        assert (await plain.taken.get())[0] == b"x"
    await plain.stop()


async def test_a_target_that_knows_its_health_only_by_another_name_serves(broker: RunningBroker, pair: Pair) -> None:
    """The health of the whole server counts, not that of a service it may have no entry for."""
    await pair.places["b"].stop()
    await create(broker, pair.places["a"].address)

    assert await send(broker, pair, 1) == {"a": 1}


def test_a_channel_looks_at_health_only_where_it_is_told_to() -> None:
    assert "healthCheckConfig" not in service_config(())
    assert service_config((), healthy_only=True)["healthCheckConfig"] == {"serviceName": ""}
