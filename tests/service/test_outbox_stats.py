"""How an outbox stands, as an operator asks any service that has one."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from google.protobuf import duration_pb2, timestamp_pb2

from baton.email.v1 import email_pb2, email_service_pb2
from baton.email.v1.email_service_pb2_grpc import EmailServiceStub
from baton.mesh.v1 import outbox_service_pb2 as pb
from baton.mesh.v1.outbox_service_pb2_grpc import OutboxServiceStub, add_OutboxServiceServicer_to_server
from email_service.app import build
from email_service.settings import EmailSettings
from mesh.clock import SECOND
from mesh.database import sqlite_url
from mesh.outbox_servicer import OutboxServicer
from mesh.status import read_error
from tests.support.fake_clock import START, FakeClock
from tests.support.running import running
from tests.support.sql_outbox import WatchedOutbox, entry

if TYPE_CHECKING:
    from baton.mesh.v1.outbox_service_pb2_grpc import OutboxServiceAsyncStub

NAME = "baton.mesh.v1.OutboxService"


class Served:
    """An outbox as the only thing that an application serves."""

    packages: Sequence[str] = ("mesh",)

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.outbox = WatchedOutbox(sqlite_url(folder / "outbox.db"))

    def register(self, server: grpc.aio.Server) -> Sequence[str]:
        add_OutboxServiceServicer_to_server(OutboxServicer(self.outbox, self.clock), server)
        return [NAME]

    async def start(self) -> None: ...

    async def drain(self) -> None: ...

    async def close(self) -> None:
        self.outbox.close()


@pytest.fixture
def served(tmp_path: Path) -> Served:
    return Served(tmp_path)


@pytest.fixture
async def stub(served: Served) -> "AsyncIterator[OutboxServiceAsyncStub]":
    async with running(served) as channel:
        yield OutboxServiceStub(channel)


async def asked(stub: "OutboxServiceAsyncStub") -> pb.OutboxStats:
    return (await stub.GetOutboxStats(pb.GetOutboxStatsRequest())).stats


async def test_an_empty_outbox_says_so(stub: "OutboxServiceAsyncStub") -> None:
    stats = await asked(stub)

    assert stats == pb.OutboxStats(pending_count=0)
    assert not stats.HasField("oldest_age")
    assert not stats.HasField("next_try_time")


async def test_what_waits_is_counted_and_the_oldest_has_an_age(served: Served, stub: "OutboxServiceAsyncStub") -> None:
    served.outbox.add(entry("a"), entry("b"), entry("c", withdraw=True), now=START)
    await served.outbox.postpone(["a"], START + 30 * SECOND, "QUEUE_NOT_FOUND: there is no queue 'work'")
    served.clock.turn(2_500_000)

    stats = await asked(stub)

    assert stats == pb.OutboxStats(
        pending_count=3,
        oldest_age=duration_pb2.Duration(seconds=2, nanos=500_000_000),
        next_try_time=timestamp_pb2.Timestamp(seconds=START // SECOND),
        last_error="QUEUE_NOT_FOUND: there is no queue 'work'",
    )


async def test_an_age_is_never_negative_however_the_clock_was_set(
    served: Served, stub: "OutboxServiceAsyncStub"
) -> None:
    served.outbox.add(entry("a"), now=START + 5 * SECOND)

    stats = await asked(stub)

    assert stats.HasField("oldest_age")
    assert stats.oldest_age == duration_pb2.Duration()
    assert stats.next_try_time.seconds == START // SECOND + 5


async def test_a_store_that_is_away_is_unavailable(served: Served, stub: "OutboxServiceAsyncStub") -> None:
    with served.outbox.database.engine.begin() as connection:
        served.outbox.table.table.drop(connection)

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await asked(stub)

    refusal = read_error(caught.value)
    assert (refusal.code, refusal.reason, refusal.domain) == ("UNAVAILABLE", "STORAGE_UNAVAILABLE", "mesh.baton")
    assert refusal.retry_delay


async def test_bytes_that_are_no_request_are_refused(served: Served) -> None:
    async with running(served) as channel:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"/{NAME}/GetOutboxStats")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(b"\xff")

    refusal = read_error(caught.value)
    assert (refusal.code, refusal.reason, refusal.domain) == ("INVALID_ARGUMENT", "FIELD_INVALID", "mesh.baton")


async def test_the_email_service_says_how_many_reports_wait(tmp_path: Path) -> None:
    settings = EmailSettings.model_validate({"BATON_DATA_DIR": tmp_path, "BATON_QUEUE_ADDRESS": "127.0.0.1:1"})
    clock = FakeClock()
    async with running(build(settings, clock=clock)) as channel:
        email = email_pb2.Email(idempotency_key="k", to="runner@example.org", report_queue="email-reports")
        email.plain.subject, email.plain.body = "Hi", "text"
        await EmailServiceStub(channel).SendEmail(email_service_pb2.SendEmailRequest(email=email))
        clock.turn(60 * SECOND)
        stats = await asked(OutboxServiceStub(channel))

    assert (stats.pending_count, stats.oldest_age.seconds, stats.last_error) == (1, 60, "")
    assert stats.next_try_time.ToMicroseconds() == START
