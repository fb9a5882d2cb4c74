"""Where a server listens, and that nobody shares a listener without knowing it."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from baton.queue.v1.message_pb2 import QueueMessage
from mesh.address import AddressError
from mesh.channel import MAX_MESSAGE_BYTES, open_channel
from mesh.server import Server
from tests.support.probe import ProbeApplication, ProbeCalls
from tests.support.refusals import refused
from tests.support.running import running

HELLO = QueueMessage(text="hello")


@pytest.fixture(autouse=True)
def short_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket's path is short when it is taken from the working folder."""
    monkeypatch.chdir(tmp_path)


@asynccontextmanager
async def listening(*addresses: str) -> AsyncIterator[Server]:
    server = Server(ProbeApplication(), addresses, grace=0.1)
    try:
        await server.start()
        yield server
    finally:
        await server.stop()


async def ask(address: str) -> QueueMessage:
    async with open_channel(address) as channel:
        answer: QueueMessage = await ProbeCalls(channel).unary(HELLO)
        return answer


async def test_one_server_answers_on_every_listener() -> None:
    async with listening("127.0.0.1:0", "unix:a.sock", "127.0.0.1:0") as server:
        answers = [await ask(address) for address in server.addresses]

    first, by_socket, second = server.addresses
    assert answers == [HELLO] * 3
    assert by_socket == "unix:a.sock"
    assert len({first, second, "127.0.0.1:0"}) == 3


async def test_a_second_server_on_the_same_port_is_refused_and_the_first_serves_on() -> None:
    async with listening("127.0.0.1:0") as first:
        with pytest.raises(AddressError, match="is taken by another process"):
            async with listening(*first.addresses):
                pass

        assert await ask(first.addresses[0]) == HELLO


async def test_a_second_server_on_the_same_socket_is_refused_and_the_first_serves_on() -> None:
    async with listening("unix:a.sock") as first:
        with pytest.raises(AddressError, match="is taken"):
            async with listening("unix:a.sock"):
                pass

        assert await ask(first.addresses[0]) == HELLO


async def test_one_listener_taken_means_nothing_is_served() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"

        with pytest.raises(AddressError):
            async with listening("unix:a.sock", taken):
                pass

    assert not Path("a.sock").exists()


async def test_the_same_listener_twice_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"

    with pytest.raises(AddressError, match="cannot be bound"):
        async with listening("unix:a.sock", address, address):
            pass

    assert not Path("a.sock").exists()


async def test_a_socket_goes_with_its_server_and_one_left_behind_is_taken_over() -> None:
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind("a.sock")

    async with listening("unix:a.sock") as server:
        assert await ask(server.addresses[0]) == HELLO

    assert not Path("a.sock").exists()


async def test_a_port_is_free_again_after_the_stop() -> None:
    async with listening("127.0.0.1:0") as first:
        addresses = first.addresses
        await ask(addresses[0])

    async with listening(*addresses) as second:
        assert await ask(second.addresses[0]) == HELLO


async def test_a_message_may_have_eight_mebibytes_and_no_more() -> None:
    frame = QueueMessage(data=b"x" * 1_000_000).ByteSize() - 1_000_000
    largest = b"\x2a" + QueueMessage(data=b"x" * (MAX_MESSAGE_BYTES - frame - 1)).SerializeToString()[1:]

    async with running(ProbeApplication()) as channel:
        inside = await refused(ProbeCalls(channel).unary(largest))
        outside = await refused(ProbeCalls(channel).unary(largest + b"\x00\x00"))

    assert inside.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert outside.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "larger than max" in (outside.details() or "")


async def test_metadata_far_beyond_its_limit_is_refused() -> None:
    async with running(ProbeApplication()) as channel:
        calls = ProbeCalls(channel)

        error = await refused(calls.unary(HELLO, metadata=(("padding", "x" * 20_000),)))

        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await calls.unary(HELLO, metadata=(("padding", "x" * 8_000),)) == HELLO
