"""The email service is killed in the middle of a batch: nobody is forgotten, and only mails in hand come twice."""

from collections import Counter

import pytest

from tests.support.processes import MeshProcesses
from tests.support.queue_file import CONFIRMATIONS, write_queue_file
from tests.support.runners import emptied, signing_up
from tests.support.smtp_server import SmtpServer

pytestmark = pytest.mark.acceptance

RUNNERS = 20
CONNECTIONS = 3


async def test_only_the_mail_in_hand_on_each_connection_comes_twice(mesh: MeshProcesses, smtp: SmtpServer) -> None:
    write_queue_file(mesh.folder / "queues.toml", batch=RUNNERS, linger="3s")
    smtp.seconds_a_mail = 0.08
    mesh.set("BATON_EMAIL_SMTP_CONNECTIONS", CONNECTIONS)
    await mesh.start()

    async with signing_up(mesh.signup.address) as sign_up:
        registrations = await sign_up.register_all(RUNNERS)
        await smtp.took(7)
        await mesh.email.kill()
        taken_by_the_first = len(smtp.mails)
        await mesh.start(mesh.email)
        await sign_up.all_sent(registrations)

    stats = await emptied(mesh.queue, CONFIRMATIONS)
    mails = Counter(smtp.recipients)
    message_ids = {(mail.recipient, mail.message_id) for mail in smtp.mails}
    assert taken_by_the_first < RUNNERS
    assert mails.keys() == {registration.email for registration in registrations}
    assert mails.total() <= RUNNERS + CONNECTIONS
    assert len(message_ids) == RUNNERS, "a repeat must carry the Message-ID of the first mail"
    assert (stats.acked_total, stats.dead_lettered_total) == (RUNNERS, 0)
