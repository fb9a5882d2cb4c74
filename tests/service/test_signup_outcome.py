"""What comes back to the sign-up service through the queues, and what a crash leaves behind."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import grpc
import pytest
from google.protobuf.message import Message

from baton.email.v1 import email_pb2, email_service_pb2
from baton.queue.v1 import batch_handler_service_pb2, message_pb2
from baton.queue.v1.batch_handler_service_pb2_grpc import BatchHandlerServiceStub
from baton.signup.v1 import registration_pb2 as pb
from baton.signup.v1 import signup_service_pb2 as service_pb
from baton.signup.v1.signup_service_pb2_grpc import SignupServiceStub
from mesh.database import DatabaseError
from mesh.program import StartError
from mesh.status import read_error
from signup_service.outcome import News
from signup_service.storage.sql import SqlRegistrationStore
from tests.support.running import running
from tests.unit.signup_service.neighbour import Neighbourhood

REPORTS, DEAD = "email-reports", "registration-confirmations-dead"
SENT, FAILED = email_pb2.Email.STATE_SENT, email_pb2.Email.STATE_FAILED


@pytest.fixture
def neighbours(tmp_path: Path) -> Neighbourhood:
    return Neighbourhood(tmp_path)


async def register(channel: grpc.aio.Channel, mode: pb.ConfirmationMode.ValueType = pb.CONFIRMATION_MODE_QUEUED) -> str:
    registration = pb.Registration(
        first_name="Ada", last_name="Lovelace", email="ada@example.org", distance=pb.DISTANCE_MARATHON
    )
    request = service_pb.RegisterRequest(registration=registration, confirmation_mode=mode)
    return (await SignupServiceStub(channel).Register(request)).registration.registration_id


async def confirmation(channel: grpc.aio.Channel, registration_id: str) -> pb.Confirmation:
    request = service_pb.GetRegistrationRequest(registration_id=registration_id)
    return (await SignupServiceStub(channel).GetRegistration(request)).registration.confirmation


def report(registration_id: str, state: email_pb2.Email.State.ValueType, error: str = "") -> message_pb2.QueueMessage:
    return typed(email_pb2.EmailReport(email_id="e1", correlation_id=registration_id, state=state, error=error))


def dead_letter(registration_id: str) -> message_pb2.QueueMessage:
    email = email_pb2.Email(
        idempotency_key=f"confirmation:{registration_id}",
        to="ada@example.org",
        plain=email_pb2.PlainEmail(subject="s", body="b"),
        correlation_id=registration_id,
    )
    message = typed(email_service_pb2.SendEmailRequest(email=email))
    message.dead_letter.attempts = 3
    message.dead_letter.failures.add(attempt=3, code="SMTP_451", description="mailbox busy")
    return message


def typed(body: Message) -> message_pb2.QueueMessage:
    value = message_pb2.TypedBody(type_name=body.DESCRIPTOR.full_name, value=body.SerializeToString())
    return message_pb2.QueueMessage(message_id="m", typed=value)


async def deliver(
    channel: grpc.aio.Channel, queue: str, *messages: message_pb2.QueueMessage
) -> list[message_pb2.Settlement]:
    leased = [message_pb2.LeasedMessage(lease_id=f"lease-{n}", message=m) for n, m in enumerate(messages)]
    request = batch_handler_service_pb2.DeliverBatchRequest(queue=queue, messages=leased)
    responses = BatchHandlerServiceStub(channel).DeliverBatch(request)
    settlements = [settlement async for response in responses for settlement in response.settlements]
    assert [settlement.lease_id for settlement in settlements] == [each.lease_id for each in leased]
    return settlements


def actions(settlements: list[message_pb2.Settlement]) -> list[str | None]:
    return [settlement.WhichOneof("action") for settlement in settlements]


async def test_a_report_ties_a_failing_email_to_its_runner(neighbours: Neighbourhood) -> None:
    async with neighbours.broker(), running(neighbours.application()) as channel:
        registration_id = await register(channel)

        settlements = await deliver(channel, REPORTS, report(registration_id, FAILED, "SMTP_550: no such user"))
        found = await confirmation(channel, registration_id)

    assert actions(settlements) == ["ack"]
    assert (found.state, found.last_error) == (pb.Confirmation.STATE_FAILED, "SMTP_550: no such user")
    assert (found.attempts, found.email_id) == (1, "e1")


async def test_a_dead_letter_says_how_often_it_was_tried_and_why_it_failed(neighbours: Neighbourhood) -> None:
    async with neighbours.broker(), running(neighbours.application()) as channel:
        registration_id = await register(channel)

        settlements = await deliver(channel, DEAD, dead_letter(registration_id))
        found = await confirmation(channel, registration_id)

    assert actions(settlements) == ["ack"]
    assert (found.state, found.attempts) == (pb.Confirmation.STATE_FAILED, 3)
    assert found.last_error == "SMTP_451: mailbox busy"


async def test_news_may_come_twice_and_in_the_wrong_order(neighbours: Neighbourhood) -> None:
    async with neighbours.broker(), running(neighbours.application()) as channel:
        registration_id = await register(channel)
        dead = dead_letter(registration_id)
        failed, sent = report(registration_id, FAILED, "SMTP_550: no"), report(registration_id, SENT)

        acknowledged = [*await deliver(channel, DEAD, dead, dead), *await deliver(channel, REPORTS, sent, sent, failed)]
        once = await confirmation(channel, registration_id)
        acknowledged += await deliver(channel, DEAD, dead)
        twice = await confirmation(channel, registration_id)

    assert set(actions(acknowledged)) == {"ack"}
    assert once == twice
    assert (once.state, once.attempts) == (pb.Confirmation.STATE_SENT, 3)


async def test_a_bad_message_spoils_no_neighbour(neighbours: Neighbourhood) -> None:
    async with neighbours.broker(), running(neighbours.application()) as channel:
        registration_id = await register(channel)

        settlements = await deliver(
            channel, REPORTS, message_pb2.QueueMessage(text="?"), report("nobody", SENT), report(registration_id, SENT)
        )
        found = await confirmation(channel, registration_id)

    assert actions(settlements) == ["reject", "reject", "ack"]
    assert [each.reject.code for each in settlements[:2]] == ["BODY_INVALID", "REGISTRATION_NOT_FOUND"]
    assert found.state == pb.Confirmation.STATE_SENT


async def test_an_unforeseen_failure_is_tried_again_tells_nothing_and_spoils_no_neighbour(
    neighbours: Neighbourhood, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = SqlRegistrationStore.note_outcomes

    def fail(store: SqlRegistrationStore, news: Sequence[News], now: int) -> Sequence[object]:
        if any(each.registration_id == "cursed" for each in news):
            raise OSError("a secret")
        return note(store, news, now)

    monkeypatch.setattr(SqlRegistrationStore, "note_outcomes", fail)
    async with neighbours.broker(), running(neighbours.application()) as channel:
        registration_id = await register(channel)
        settlements = await deliver(channel, REPORTS, report("cursed", SENT), report(registration_id, SENT))

    assert actions(settlements) == ["retry", "ack"]
    assert settlements[0].retry.code == "INTERNAL"
    assert "secret" not in str(settlements)


async def test_while_the_storage_is_away_messages_are_put_off(neighbours: Neighbourhood) -> None:
    application = neighbours.application()
    async with running(application) as channel:
        with application._database.engine.begin() as connection:
            connection.exec_driver_sql("DROP TABLE requests")
            connection.exec_driver_sql("DROP TABLE registrations")
        (settlement,) = await deliver(channel, REPORTS, report("r1", SENT))

    assert settlement.retry.code == "STORAGE_UNAVAILABLE"
    assert settlement.retry.delay.seconds == 1


async def test_a_queue_of_somebody_else_is_refused_with_a_reason(neighbours: Neighbourhood) -> None:
    async with running(neighbours.application()) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await deliver(channel, "newsletters", report("r1", SENT))

    assert read_error(refusal.value).reason == "QUEUE_NOT_HANDLED"


@pytest.mark.parametrize("mode", [pb.CONFIRMATION_MODE_BACKGROUND, pb.CONFIRMATION_MODE_SEQUENTIAL])
async def test_a_send_cut_off_by_the_end_of_the_process_goes_through_the_broker_at_the_next_start(
    mode: pb.ConfirmationMode.ValueType, neighbours: Neighbourhood
) -> None:
    neighbours.email.open.clear()
    application = neighbours.application()
    async with neighbours.email_service() as email, running(application) as channel:
        registering = asyncio.create_task(register(channel, mode))
        first = (await email.requests.get()).email
        await application._tasks.cancel()
        await asyncio.gather(registering, return_exceptions=True)

    async with neighbours.broker() as broker, running(neighbours.application()) as channel:
        handed_over = await broker.requests.get()
        found = await confirmation(channel, first.correlation_id)

    (message,) = handed_over.messages
    assert email_service_pb2.SendEmailRequest.FromString(message.typed.value).email == first
    assert (found.state, found.mode) == (pb.Confirmation.STATE_PENDING, pb.CONFIRMATION_MODE_QUEUED)


async def test_a_database_in_use_stops_the_start(neighbours: Neighbourhood) -> None:
    application = neighbours.application()

    with pytest.raises(StartError) as refusal:
        neighbours.application()

    await application.close()
    assert isinstance(refusal.value.__cause__, DatabaseError)
    assert "in use by another process" in refusal.value.problems[0]
