"""Connections that die without a word: a call on them must not wait for ever."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any

import grpc
import pytest
from grpc._cython import cygrpc  # type: ignore[attr-defined]  # compiled, and without types

from baton.queue.v1.message_pb2 import QueueMessage
from baton_client import connection as client_module
from mesh import channel as channel_module
from mesh import server as server_module
from mesh.channel import open_channel
from mesh.server import Server
from tests.support.black_hole import Proxy, proxied
from tests.support.probe import Context, ProbeApplication, ProbeCalls
from tests.support.refusals import refused

HELLO = QueueMessage(text="hello")
KEEPALIVE = {
    "grpc.keepalive_time_ms": 1_000,
    "grpc.keepalive_timeout_ms": 1_000,
    "grpc.http2.ping_timeout_ms": 1_000,
}
MIN_PING_INTERVAL = "grpc.http2.min_ping_interval_without_data_ms"
# Seconds by which a dead connection has to be noticed, a slow machine included.
SOON = 8.0


class Silent(ProbeApplication):
    """Never answers, like a stream on which nothing happens."""

    async def watch(self, request: QueueMessage, context: Context) -> AsyncIterator[QueueMessage]:
        yield request
        await asyncio.Event().wait()


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    server = Server(Silent(), ["127.0.0.1:0"], grace=0)
    await server.start()
    async with proxied(server.addresses[0]) as proxy:
        yield proxy
    await server.stop()


def keepalive(monkeypatch: pytest.MonkeyPatch, without: str = "") -> None:
    """Make the channel's own keepalive act within a test's time, or one of its options act as good as never."""
    shorter = {**KEEPALIVE, **({without: 600_000} if without else {})}
    options = {**dict(channel_module.OPTIONS), **shorter, "grpc.use_local_subchannel_pool": 1}
    monkeypatch.setattr(channel_module, "OPTIONS", tuple(options.items()))


async def watch(channel: grpc.aio.Channel) -> Any:
    """A stream that is up."""
    call = ProbeCalls(channel).watch(HELLO)
    assert await call.read() == HELLO
    return call


def test_all_three_options_are_set() -> None:
    assert KEEPALIVE.keys() <= dict(channel_module.OPTIONS).keys()
    assert dict(channel_module.OPTIONS)["grpc.keepalive_permit_without_calls"] == 1


async def test_a_call_into_a_black_hole_fails_soon(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    keepalive(monkeypatch)
    async with open_channel(proxy.address) as channel:
        call = await watch(channel)

        proxy.swallow()
        error = await asyncio.wait_for(refused(call.read()), SOON)

    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert "ping" in (error.details() or "").lower()


async def test_without_one_of_the_options_nobody_notices(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    keepalive(monkeypatch, without="grpc.keepalive_time_ms")
    first = open_channel(proxy.address)
    keepalive(monkeypatch, without="grpc.http2.ping_timeout_ms")
    second = open_channel(proxy.address)
    calls = [await watch(first), await watch(second)]

    proxy.swallow()
    reads = [asyncio.ensure_future(call.read()) for call in calls]
    done, _ = await asyncio.wait(reads, timeout=4)

    assert done == set()
    for call in calls:
        call.cancel()
    await asyncio.gather(*reads, return_exceptions=True)
    await asyncio.gather(first.close(), second.close())


@pytest.mark.parametrize("package", [channel_module, server_module, client_module], ids=lambda module: module.__name__)
def test_every_option_is_one_that_grpc_knows(package: ModuleType) -> None:
    """An option of another name is passed over without a word."""
    binary = Path(cygrpc.__file__).read_bytes()
    names = [name for name, _ in package.OPTIONS]
    names += [name for name, _ in getattr(package, "FOREIGN_OPTIONS", ())]

    assert [name for name in names if name.encode() not in binary] == []
    assert b"grpc.http2.min_recv_ping_interval_without_data_ms" not in binary


@pytest.mark.parametrize("leave_to_grpc", [False, True])
async def test_a_client_that_pings_as_often_as_it_may_is_not_hung_up_on(
    monkeypatch: pytest.MonkeyPatch, leave_to_grpc: bool
) -> None:
    """As a Go client does at its fastest, ten times as fast; left to gRPC, the fourth ping would be one too many."""
    assert dict(server_module.OPTIONS)[MIN_PING_INTERVAL] == 5_000
    faster = {**dict(server_module.OPTIONS), MIN_PING_INTERVAL: 300_000 if leave_to_grpc else 500}
    monkeypatch.setattr(server_module, "OPTIONS", tuple(faster.items()))
    server = Server(Silent(), ["127.0.0.1:0"], grace=0)
    await server.start()
    fast = {"grpc.keepalive_time_ms": 600, "grpc.http2.max_pings_without_data": 0, "grpc.use_local_subchannel_pool": 1}
    options = dict(channel_module.OPTIONS) | fast
    async with grpc.aio.insecure_channel(server.addresses[0], options=tuple(options.items())) as channel:
        call = await watch(channel)
        reading = asyncio.ensure_future(call.read())

        done, _ = await asyncio.wait([reading], timeout=SOON if leave_to_grpc else 4)

        assert bool(done) is leave_to_grpc
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    await server.stop()


async def test_a_server_that_stands_few_pings_is_sent_few() -> None:
    """A server with gRPC's own defaults, to which the broker pushes."""
    options = dict(channel_module.OPTIONS) | dict(channel_module.FOREIGN_OPTIONS)

    assert int(options["grpc.keepalive_time_ms"]) > 300_000
    assert options["grpc.keepalive_permit_without_calls"] == 0
    assert options["grpc.http2.ping_timeout_ms"] == 5_000
