"""What a stranger with a generic client can learn from a server."""

from collections.abc import AsyncIterator

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from mesh.server import Server
from tests.support.recording_producer import RecordingProducer
from tests.support.tool import run_beside, tool

PROTOCOLS = ["grpc-v1", "grpc-v1alpha"]


@pytest.fixture
async def address() -> AsyncIterator[str]:
    server = Server(RecordingProducer(), ["127.0.0.1:0"], grace=0.1)
    await server.start()
    yield server.addresses[0]
    await server.stop()


async def curl(address: str, *arguments: str, path: str = "") -> str:
    command = [tool("buf"), "curl", "--protocol", "grpc", "--http2-prior-knowledge", *arguments]
    code, written = await run_beside(*command, f"http://{address}{path}")
    assert code == 0, written
    return written


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_server_lists_its_services(address: str, protocol: str) -> None:
    listed = await curl(address, "--reflect-protocol", protocol, "--list-services")

    assert set(listed.split()) == {
        "baton.queue.v1.ProducerService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    }


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_server_lists_the_methods_of_a_service(address: str, protocol: str) -> None:
    listed = await curl(address, "--reflect-protocol", protocol, "--list-methods")

    assert "baton.queue.v1.ProducerService/SendMessages" in listed.split()


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_method_can_be_called_with_nothing_but_reflection(address: str, protocol: str) -> None:
    answer = await curl(
        address,
        "--reflect-protocol",
        protocol,
        "--data",
        '{"queue": "work", "messages": [{"text": "hello", "deduplicationId": "d", "delay": "1.5s"}]}',
        path="/baton.queue.v1.ProducerService/SendMessages",
    )

    assert '"messageId"' in answer
    assert "m-d" in answer


async def test_a_refusal_shows_what_is_wrong_in_words(address: str) -> None:
    code, written = await run_beside(
        tool("buf"),
        *("curl", "--protocol", "grpc", "--http2-prior-knowledge"),
        *("--data", '{"queue": "", "messages": [{"json": "{"}]}'),
        f"http://{address}/baton.queue.v1.ProducerService/SendMessages",
    )

    assert code == 3 * 8  # INVALID_ARGUMENT
    assert "queue: is required (and 1 more)" in written
    assert "google.rpc.BadRequest" in written
    assert "google.rpc.ErrorInfo" in written


@pytest.mark.parametrize(
    ("symbol", "known"),
    [
        ("baton.queue.v1.ProducerService", True),
        ("baton.queue.v1.ProducerService.SendMessages", True),
        ("baton.queue.v1.QueueMessage", True),
        ("baton.queue.v1.ProducerService.SendNothing", False),
        ("nowhere.v1.Service.Method", False),
        ("", False),
    ],
)
async def test_every_symbol_of_a_contract_is_described(address: str, symbol: str, known: bool) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol)]))
        answer = await call.read()

    assert answer.HasField("file_descriptor_response") is known
    assert answer.HasField("error_response") is not known
