"""Runners who give their place back, are told again, or watch, while processes come and go."""

import asyncio
from typing import Any

import grpc
import pytest

from baton.queue.v1 import queue_service_pb2
from baton.queue.v1.queue_service_pb2_grpc import QueueServiceStub
from baton.signup.v1 import registration_pb2 as pb
from baton.signup.v1 import signup_service_pb2 as service_pb
from baton.signup.v1.signup_service_pb2_grpc import SignupServiceStub
from mesh.channel import open_channel
from tests.support.eventually import WITHIN, eventually
from tests.support.processes import MeshProcesses
from tests.support.runners import SignUp, runner, signing_up
from tests.support.smtp_server import SmtpServer

pytestmark = pytest.mark.acceptance

WITHDRAWN, SENT = pb.Confirmation.STATE_WITHDRAWN, pb.Confirmation.STATE_SENT
QUEUE = "registration-confirmations"
RUNNERS = 12
# gRPC shares connections between channels: one to a process that was killed may still be waiting to connect again.
_PATIENTLY: Any = {"wait_for_ready": True, "timeout": WITHIN}


async def cancel(mesh: MeshProcesses, registration: pb.Registration) -> pb.Registration:
    async with open_channel(mesh.signup.address, packages=("signup",)) as channel:
        request = service_pb.CancelRegistrationRequest(registration_id=registration.registration_id)
        return (await SignupServiceStub(channel).CancelRegistration(request, **_PATIENTLY)).registration


async def resend(mesh: MeshProcesses, registration: pb.Registration) -> pb.Registration:
    async with open_channel(mesh.signup.address, packages=("signup",)) as channel:
        request = service_pb.ResendConfirmationRequest(registration_id=registration.registration_id)
        return (await SignupServiceStub(channel).ResendConfirmation(request, **_PATIENTLY)).registration


async def pause(mesh: MeshProcesses) -> None:
    async with open_channel(mesh.queue.address, packages=("queue",)) as channel:
        await QueueServiceStub(channel).PauseQueue(queue_service_pb2.PauseQueueRequest(name=QUEUE), **_PATIENTLY)


async def resume(mesh: MeshProcesses) -> None:
    async with open_channel(mesh.queue.address, packages=("queue",)) as channel:
        await QueueServiceStub(channel).ResumeQueue(queue_service_pb2.ResumeQueueRequest(name=QUEUE), **_PATIENTLY)


async def told(people: SignUp, registration: pb.Registration) -> pb.Registration:
    """Wait until the email about the cancellation is sent."""
    return await eventually(lambda: people.find(registration), lambda it: it.cancellation.email_state == SENT)


async def withdrawn(people: SignUp, registration: pb.Registration) -> pb.Registration:
    """Wait until the confirmation is taken back."""
    return await eventually(lambda: people.find(registration), lambda it: it.confirmation.state == WITHDRAWN)


def subjects(mail: SmtpServer, registration: pb.Registration) -> list[str]:
    mails = [each for each in mail.mails if each.recipient == registration.email]
    return [str(each.message["Subject"]).partition(":")[0] for each in mails]


async def test_who_cancels_before_the_confirmation_leaves_reads_of_the_cancellation_only(
    mesh: MeshProcesses, smtp: SmtpServer
) -> None:
    async with signing_up(mesh.signup.address) as people:
        await mesh.start()
        await pause(mesh)
        registrations = await people.register_all(RUNNERS)
        await asyncio.gather(*(people.handed_over(each) for each in registrations[: RUNNERS // 2]))

        await asyncio.gather(*(cancel(mesh, each) for each in registrations))
        await asyncio.gather(*(withdrawn(people, each) for each in registrations))
        await resume(mesh)
        ends = await asyncio.gather(*(told(people, each) for each in registrations))

    assert [each.confirmation.state for each in ends] == [WITHDRAWN] * RUNNERS
    assert [subjects(smtp, each) for each in registrations] == [["Your registration is cancelled"]] * RUNNERS


async def test_what_was_cancelled_while_the_broker_was_away_is_not_confirmed_when_it_is_back(
    mesh: MeshProcesses, smtp: SmtpServer
) -> None:
    async with signing_up(mesh.signup.address) as people:
        await mesh.start(mesh.email, mesh.signup)
        registrations = await people.register_all(RUNNERS)
        for each in registrations:
            await cancel(mesh, each)
        await mesh.signup.kill()

        await mesh.start(mesh.queue, mesh.signup)
        ends = await asyncio.gather(*(told(people, each) for each in registrations))

    assert [each.confirmation.state for each in ends] == [WITHDRAWN] * RUNNERS
    assert [subjects(smtp, each) for each in registrations] == [["Your registration is cancelled"]] * RUNNERS


async def test_a_cancellation_is_carried_out_whichever_process_dies_after_it(
    mesh: MeshProcesses, smtp: SmtpServer
) -> None:
    async with signing_up(mesh.signup.address) as people:
        await mesh.start()
        registrations = await people.register_all(RUNNERS)
        for number, each in enumerate(registrations):
            await cancel(mesh, each)
            service = mesh.services[number % 3]
            if number % 4 == 0:
                await service.kill()
                await mesh.start(service)
        ends = await asyncio.gather(*(told(people, each) for each in registrations))

    for each, end in zip(registrations, ends, strict=True):
        read = subjects(smtp, each)
        assert read[-1] == "Your registration is cancelled"
        assert len(read) == (1 if end.confirmation.state == WITHDRAWN else 2)


async def test_a_confirmation_sent_anew_is_another_mail(mesh: MeshProcesses, smtp: SmtpServer) -> None:
    async with signing_up(mesh.signup.address) as people:
        smtp.refuse("550 5.1.1 no such user", times=1)
        await mesh.start()
        registration = await people.register(runner())
        failed = await people.decided(registration)

        again = await resend(mesh, registration)
        sent = await people.decided(registration)
        third = await resend(mesh, registration)
        await people.decided(registration)

    assert failed.confirmation.last_error.startswith("SMTP_550: ")
    assert again.confirmation.state == third.confirmation.state == pb.Confirmation.STATE_PENDING
    assert sent.confirmation.state == SENT
    assert len({each.message_id for each in smtp.mails}) == len(smtp.mails) == 2


async def test_a_watch_outlives_the_broker(mesh: MeshProcesses) -> None:
    async with signing_up(mesh.signup.address) as people:
        await mesh.start(mesh.queue, mesh.signup)
        registration = await people.register(runner())
        async with grpc.aio.insecure_channel(mesh.signup.address) as channel:
            request = service_pb.WatchRegistrationRequest(registration_id=registration.registration_id)
            watch = SignupServiceStub(channel).WatchRegistration(request, timeout=WITHIN)
            states = aiter(watch)
            await anext(states)
            await mesh.queue.kill()
            await mesh.start(mesh.queue, mesh.email)
            shown = [answer.registration.confirmation.state async for answer in states]

    assert shown[-1] == SENT
