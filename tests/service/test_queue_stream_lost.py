"""A consumer whose machine is gone: the stream looks open, and the broker must find out that nobody is there."""

from collections.abc import AsyncIterator

import pytest

from baton.queue.v1 import consumer_service_pb2 as pb
from baton.queue.v1 import queue_pb2
from baton.queue.v1.consumer_service_pb2_grpc import ConsumerServiceStub
from mesh import server as server_module
from mesh.channel import open_channel
from tests.support.black_hole import Proxy, proxied
from tests.support.running_broker import RunningBroker, duration, running_broker

KEEPALIVE = {
    "grpc.keepalive_time_ms": 1_000,
    "grpc.keepalive_timeout_ms": 1_000,
    "grpc.http2.ping_timeout_ms": 1_000,
}
Request = pb.StreamMessagesRequest
Response = pb.StreamMessagesResponse


@pytest.fixture
async def broker(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RunningBroker]:
    """A broker whose keepalive acts within a test's time."""
    options = {**dict(server_module.OPTIONS), **KEEPALIVE}
    monkeypatch.setattr(server_module, "OPTIONS", tuple(options.items()))
    async with running_broker() as made:
        yield made


@pytest.fixture
async def proxy(broker: RunningBroker) -> AsyncIterator[Proxy]:
    async with proxied(broker.address) as made:
        yield made


def test_all_three_options_are_set() -> None:
    assert KEEPALIVE.keys() <= dict(server_module.OPTIONS).keys()
    assert dict(server_module.OPTIONS)["grpc.keepalive_permit_without_calls"] == 1


async def test_what_a_vanished_consumer_held_comes_back_though_the_broker_kept_its_leases(
    broker: RunningBroker, proxy: Proxy
) -> None:
    await broker.create(retry_policy=queue_pb2.RetryPolicy(initial_delay=duration(0)))
    await broker.send("a")
    async with open_channel(proxy.address) as channel:
        call = ConsumerServiceStub(channel).StreamMessages()
        opening = Request.Open(queue="work", max_batch_timeout=duration(0), keep_leases=True)
        await call.write(Request(open=opening))
        while not (isinstance(response := await call.read(), Response) and response.HasField("batch")):
            pass

        proxy.swallow()

        (again,) = await broker.pull(wait=20)
        call.cancel()
    assert (again.message.text, again.attempt) == ("a", 2)
    assert (await broker.stats()).retried_total == 1
