"""What a server says of its health: for each of its services, from its start to its stop."""

import asyncio
import time

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from mesh.channel import open_channel
from mesh.server import Server
from tests.support.probe import SERVICE, ProbeApplication
from tests.support.refusals import refused

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


def about(service: str = "") -> health_pb2.HealthCheckRequest:
    return health_pb2.HealthCheckRequest(service=service)


class Draining(ProbeApplication):
    """Takes its time to drain."""

    def __init__(self) -> None:
        super().__init__()
        self.draining, self.drained = asyncio.Event(), asyncio.Event()

    async def drain(self) -> None:
        self.draining.set()
        await self.drained.wait()


@pytest.mark.parametrize("service", ["", SERVICE])
async def test_a_server_and_each_of_its_services_are_serving(service: str) -> None:
    server = Server(ProbeApplication(), ["127.0.0.1:0"], grace=0.1)
    await server.start()
    async with open_channel(server.addresses[0]) as channel:
        answer = await health_pb2_grpc.HealthStub(channel).Check(about(service))
    await server.stop()

    assert answer.status == SERVING


async def test_a_service_there_is_not_is_not_found_and_watched_until_it_comes() -> None:
    server = Server(ProbeApplication(), ["127.0.0.1:0"], grace=0.1)
    await server.start()
    async with open_channel(server.addresses[0]) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        error = await refused(health.Check(about("no.such.Service")))
        watch = health.Watch(about("no.such.Service"))
        answer = await watch.read()
        watch.cancel()
    await server.stop()

    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert answer.status == SERVICE_UNKNOWN


async def test_while_it_drains_a_server_is_not_serving_and_its_watchers_are_told() -> None:
    application = Draining()
    server = Server(application, ["127.0.0.1:0"], grace=0.1)
    await server.start()
    async with open_channel(server.addresses[0]) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        watch = health.Watch(about(SERVICE))
        before = await watch.read()

        stop = asyncio.create_task(server.stop())
        await application.draining.wait()
        listed = (await health.List(health_pb2.HealthListRequest())).statuses
        checked = [(await health.Check(about(service))).status for service in ("", SERVICE)]
        after = await watch.read()
        application.drained.set()
        await stop

    assert (before.status, after.status) == (SERVING, NOT_SERVING)
    assert checked == [NOT_SERVING] * 2
    assert {name: answer.status for name, answer in listed.items()} == {"": NOT_SERVING, SERVICE: NOT_SERVING}


async def test_a_watcher_does_not_hold_up_the_stop() -> None:
    server = Server(ProbeApplication(), ["127.0.0.1:0"], grace=30)
    await server.start()
    async with open_channel(server.addresses[0]) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(about())
        await watch.read()

        before = time.monotonic()
        await server.stop()
        rest = [answer.status async for answer in watch]

    assert time.monotonic() - before < 10
    assert rest == [NOT_SERVING]
