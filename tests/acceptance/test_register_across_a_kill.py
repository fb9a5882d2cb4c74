"""The sign-up service is killed over calls that mean one registration: whoever asks again is told of the same one."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import grpc
import pytest

from baton.signup.v1 import registration_pb2 as pb
from tests.support.processes import MeshProcesses
from tests.support.queue_file import CONFIRMATIONS
from tests.support.runners import SignUp, emptied, runner, signing_up
from tests.support.smtp_server import SmtpServer

pytestmark = pytest.mark.acceptance

AT_ONCE = 50
MODES = (pb.CONFIRMATION_MODE_QUEUED, pb.CONFIRMATION_MODE_BACKGROUND, pb.CONFIRMATION_MODE_QUEUED)

Calls = list["asyncio.Task[pb.Registration]"]


async def test_fifty_calls_under_one_request_id_are_one_registration_across_a_kill(
    mesh: MeshProcesses, smtp: SmtpServer
) -> None:
    await mesh.start()
    registrations: list[pb.Registration] = []

    for number, moment in enumerate((first_stored, first_answer, tenth_answer)):
        async with signing_up(mesh.signup.address) as sign_up:
            ask = asking(sign_up, number)
            calls = [asyncio.create_task(ask()) for _ in range(AT_ONCE)]
            await moment(mesh, calls)
            await mesh.signup.kill()
            await mesh.start(mesh.signup)
            answers = await asyncio.gather(*calls, return_exceptions=True)
            again = await asyncio.gather(*(ask() for _ in range(AT_ONCE)))

        told = {answer.registration_id for answer in answers if isinstance(answer, pb.Registration)}
        assert all(isinstance(answer, pb.Registration | grpc.aio.AioRpcError) for answer in answers)
        assert len({answer.registration_id for answer in again}) == 1
        assert told <= {again[0].registration_id}
        registrations.append(again[0])

    async with signing_up(mesh.signup.address) as sign_up:
        await sign_up.all_sent(registrations)
        everybody = await sign_up.all()
    await emptied(mesh.queue, CONFIRMATIONS)
    assert [each.registration_id for each in everybody] == [each.registration_id for each in registrations]
    assert sorted(smtp.recipients) == sorted(registration.email for registration in registrations)


def asking(sign_up: SignUp, number: int) -> Callable[[], Coroutine[Any, Any, pb.Registration]]:
    return lambda: sign_up.register(runner(number), MODES[number], request_id=f"request-{number}")


async def first_stored(mesh: MeshProcesses, calls: Calls) -> None:
    await mesh.signup.errors.have('"registered"')


async def first_answer(mesh: MeshProcesses, calls: Calls) -> None:
    await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)


async def tenth_answer(mesh: MeshProcesses, calls: Calls) -> None:
    for answered in asyncio.as_completed(calls):
        await answered
        if sum(call.done() for call in calls) >= 10:
            return
