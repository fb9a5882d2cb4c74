"""Connections that die without a word: a call on them must not wait for ever."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from baton.queue.v1.message_pb2 import QueueMessage
from mesh import channel as channel_module
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
