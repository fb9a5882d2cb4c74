"""SIGTERM in the middle of work: the service ends well, nothing is lost and nobody has mail twice."""

from collections.abc import Callable

import pytest

from baton.signup.v1 import registration_pb2 as pb
from tests.support.processes import MeshProcesses, Service
from tests.support.queue_file import CONFIRMATIONS, write_queue_file
from tests.support.runners import emptied, runner, signing_up
from tests.support.smtp_server import SmtpServer

pytestmark = pytest.mark.acceptance

RUNNERS = 20

Choice = Callable[[MeshProcesses], Service]


@pytest.mark.parametrize(
    ("choose", "seconds_a_mail", "cut_short"),
    [
        pytest.param(lambda mesh: mesh.email, 0.1, True, id="email"),
        pytest.param(lambda mesh: mesh.signup, 0.2, True, id="signup"),
        pytest.param(lambda mesh: mesh.queue, 0.1, False, id="queue"),
        pytest.param(lambda mesh: mesh.queue, 0.4, True, id="queue, for which the batch takes too long"),
    ],
)
async def test_a_service_that_is_stopped_while_a_batch_is_under_way_loses_nothing(
    mesh: MeshProcesses, smtp: SmtpServer, choose: Choice, seconds_a_mail: float, cut_short: bool
) -> None:
    write_queue_file(mesh.folder / "queues.toml", batch=RUNNERS, linger="3s")
    smtp.seconds_a_mail = seconds_a_mail
    mesh.set("BATON_EMAIL_SMTP_CONNECTIONS", 1)  # so that a batch takes its time
    await mesh.start()
    service = choose(mesh)

    async with signing_up(mesh.signup.address) as sign_up:
        registrations = await sign_up.register_all(RUNNERS)
        await smtp.took(5)
        await service.stop()
        taken_before = len(smtp.mails)
        await mesh.start(service)
        await sign_up.all_sent(registrations)

    stats = await emptied(mesh.queue, CONFIRMATIONS)
    assert (taken_before < RUNNERS) == cut_short
    assert sorted(smtp.recipients) == sorted(registration.email for registration in registrations)
    assert (stats.acked_total, stats.retried_total, stats.dead_lettered_total) == (RUNNERS, 0, 0)


async def test_a_confirmation_sent_in_the_background_leaves_before_sign_up_ends(
    mesh: MeshProcesses, smtp: SmtpServer
) -> None:
    smtp.seconds_a_mail = 1.0
    await mesh.start(mesh.email, mesh.signup)

    async with signing_up(mesh.signup.address) as sign_up:
        registration = await sign_up.register(runner(), pb.CONFIRMATION_MODE_BACKGROUND)
        await smtp.took(1)
        await mesh.signup.stop()
        await mesh.start(mesh.signup)
        found = await sign_up.find(registration)

    assert registration.confirmation.state == pb.Confirmation.STATE_PENDING
    assert found.confirmation.state == pb.Confirmation.STATE_SENT
    assert found.confirmation.mode == pb.CONFIRMATION_MODE_BACKGROUND
    assert smtp.recipients == [registration.email]
