"""Send, then insert, as the article's handler does; and row and outbox entry in one transaction, as ours does.

Both are brought down at the same two points: where the row is stored, and between the two steps.
"""

import asyncio
import resource
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import grpc
import pytest

from baton.signup.v1 import registration_pb2 as pb
from mesh.status import read_error
from tests.support.processes import MeshProcesses, Program, environment_with
from tests.support.queue_file import CONFIRMATIONS
from tests.support.refusals import refused
from tests.support.runners import emptied, runner, signing_up
from tests.support.smtp_server import SmtpServer

pytestmark = pytest.mark.acceptance

# The order of a well-known example of queues: a worker's handler that sends the message first.
HANDLER = """
import asyncio, sqlite3, sys

from baton.email.v1 import email_pb2, email_service_pb2
from baton_client import Client


async def register(broker, database, email, distance):
    thanks = email_pb2.PlainEmail(subject="You are registered", body="See you at the start!")
    message = email_service_pb2.SendEmailRequest(email=email_pb2.Email(idempotency_key=email, to=email, plain=thanks))
    async with Client(broker) as client:
        await client.producer("registration-confirmations").send(message)
    with sqlite3.connect(database, timeout=60) as connection:
        connection.execute("INSERT INTO runners VALUES (?, ?)", (email, distance))


asyncio.run(register(*sys.argv[1:]))
"""
SCHEMA = "CREATE TABLE runners (email TEXT PRIMARY KEY, distance INTEGER CHECK (distance IN (5, 10, 21, 42)))"
RUNNERS = 60
ANSWERS_BEFORE_THE_KILL = 20
MODES = (pb.CONFIRMATION_MODE_QUEUED, pb.CONFIRMATION_MODE_QUEUED, pb.CONFIRMATION_MODE_BACKGROUND)


def handler(mesh: MeshProcesses, database: Path, email: str, distance: str) -> Program:
    script = mesh.folder / "handler.py"
    script.write_text(HANDLER, encoding="utf-8")
    arguments = (str(script), mesh.queue.address, str(database), email, distance)
    return Program(sys.executable, *arguments, environment=environment_with({}), folder=mesh.folder)


async def test_the_articles_order_mails_runners_who_are_not_registered(mesh: MeshProcesses, smtp: SmtpServer) -> None:
    database = mesh.folder / "runners.db"
    await mesh.start(mesh.queue, mesh.email)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(SCHEMA)

        well = await handler(mesh, database, "well@example.org", "42").run()
        failed = await handler(mesh, database, "insert-fails@example.org", "43").run()
        killed = handler(mesh, database, "killed@example.org", "42")
        connection.execute("BEGIN EXCLUSIVE")  # the handler's insert has to wait for this
        await killed.start()
        await smtp.took(3)
        await killed.kill()
        connection.rollback()

        registered = [email for (email,) in connection.execute("SELECT email FROM runners")]
    assert (well, failed) == (0, 1)
    assert registered == ["well@example.org"]
    assert sorted(smtp.recipients) == ["insert-fails@example.org", "killed@example.org", "well@example.org"]


async def test_ours_mails_nobody_whose_row_could_not_be_stored(mesh: MeshProcesses, smtp: SmtpServer) -> None:
    await mesh.start()

    async with signing_up(mesh.signup.address) as sign_up:
        with full_disk(mesh.signup.pid):
            errors = [await refused(sign_up.register(runner(number), mode)) for number, mode in enumerate(MODES)]
            during = await sign_up.all()
        later = await sign_up.register(runner(len(MODES)))
        await sign_up.all_sent([later])
        registered = [registration.email for registration in await sign_up.all()]

    stats = await emptied(mesh.queue, CONFIRMATIONS)
    assert {error.code() for error in errors} <= {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert {read_error(error).reason for error in errors} <= {"STORAGE_UNAVAILABLE", "STORAGE_FULL"}
    assert list(during) == []
    assert registered == smtp.recipients == [later.email]
    assert stats.sent_total == 1


@contextmanager
def full_disk(pid: int) -> Iterator[None]:
    """No file that the process writes can grow, or begin."""
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))


async def test_ours_mails_exactly_those_who_are_registered_when_it_is_killed_under_load(
    mesh: MeshProcesses, smtp: SmtpServer
) -> None:
    await mesh.start()

    async with signing_up(mesh.signup.address) as sign_up:
        calls = [
            asyncio.create_task(sign_up.register(runner(number), MODES[number % len(MODES)]))
            for number in range(RUNNERS)
        ]
        await answered(calls, ANSWERS_BEFORE_THE_KILL)
        await mesh.signup.kill()
        await mesh.start(mesh.signup)
        answers = await asyncio.gather(*calls, return_exceptions=True)
        everybody = await sign_up.all()
        await sign_up.all_sent(everybody)

    await emptied(mesh.queue, CONFIRMATIONS)
    registered = {registration.email for registration in everybody}
    told = {answer.email for answer in answers if isinstance(answer, pb.Registration)}
    print(f"{RUNNERS} called, {len(told)} were answered, {len(registered)} are registered")
    assert told <= registered
    assert sorted(smtp.recipients) == sorted(registered)


async def answered(calls: "list[asyncio.Task[pb.Registration]]", count: int) -> None:
    """Wait until so many calls have an answer."""
    for number, call in enumerate(asyncio.as_completed(calls), start=1):
        await call
        if number == count:
            return
