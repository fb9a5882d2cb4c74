"""A push to a port where something else listens, or one that wants TLS: nothing is lost, no attempt is spent."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial

from baton.queue.v1 import queue_pb2
from tests.support.eventually import eventually
from tests.support.running_broker import RunningBroker, duration

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def says_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def speaks_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(24)
    writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
    writer.close()


async def wants_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What a TLS server answers to a caller in plain text, its certificate expired or not: a fatal alert."""
    await reader.read(24)
    version = ssl.TLSVersion.TLSv1_2.to_bytes(2, "big")
    writer.write(b"\x15" + version + b"\x00\x02\x02\x46")
    writer.close()


PORTS: dict[str, Serve] = {"hangs-up": hangs_up, "silent": says_nothing, "http": speaks_http, "tls": wants_tls}


@asynccontextmanager
async def listening(serve: Serve) -> AsyncIterator[str]:
    writers: list[asyncio.StreamWriter] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with suppress(ConnectionError):
            await serve(reader, writer)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for writer in writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)


async def test_what_is_no_grpc_server_costs_nothing(broker: RunningBroker) -> None:
    unreachable = queue_pb2.PushStatus.STATE_UNREACHABLE
    async with AsyncExitStack() as stack:
        for name, serve in PORTS.items():
            address = await stack.enter_async_context(listening(serve))
            push = queue_pb2.PushTarget(address=address, batch=queue_pb2.BatchCall())
            policy = queue_pb2.RetryPolicy(max_retries=0)
            await broker.create(name, push=push, retry_policy=policy, max_batch_timeout=duration(0))
            await broker.send("a", "b", queue=name)

        for name in PORTS:
            await eventually(partial(broker.get, name), lambda queue: queue.push_status.state == unreachable)

        queues = {name: (await broker.get(name)).push_status.reason for name in PORTS}
        figures = {name: await broker.stats(name) for name in PORTS}
    assert all(queues.values())
    for stats in figures.values():
        assert (stats.ready_count, stats.delivered_total, stats.dropped_total) == (2, 0, 0)
