"""The sign-up service as its callers and neighbours see it: registering, reading, listing."""

import asyncio
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from baton.email.v1 import email_service_pb2
from baton.signup.v1 import registration_pb2 as pb
from baton.signup.v1 import signup_service_pb2 as service_pb
from baton.signup.v1.signup_service_pb2_grpc import SignupServiceStub
from mesh.errors import FailedPrecondition, Unavailable
from mesh.status import read_error
from tests.support.fake_clock import FakeClock
from tests.support.running import running
from tests.unit.signup_service.neighbour import Neighbourhood, eventually

SEQUENTIAL = pb.CONFIRMATION_MODE_SEQUENTIAL
BACKGROUND = pb.CONFIRMATION_MODE_BACKGROUND
QUEUED = pb.CONFIRMATION_MODE_QUEUED
PENDING, SENT, FAILED = (
    pb.Confirmation.STATE_PENDING,
    pb.Confirmation.STATE_SENT,
    pb.Confirmation.STATE_FAILED,
)
THANKS = "Thanks for registering for our Marathon"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def neighbours(tmp_path: Path) -> Neighbourhood:
    return Neighbourhood(tmp_path)


def ada(
    mode: pb.ConfirmationMode.ValueType = QUEUED, *, email: str = "ada@example.org", request_id: str = ""
) -> service_pb.RegisterRequest:
    registration = pb.Registration(
        first_name=" Ada ",
        last_name="Lovelace",
        email=email,
        address="12 St James's Square, London",
        distance=pb.DISTANCE_HALF_MARATHON,
    )
    return service_pb.RegisterRequest(registration=registration, confirmation_mode=mode, request_id=request_id)


async def read(channel: grpc.aio.Channel, registration_id: str) -> pb.Registration:
    request = service_pb.GetRegistrationRequest(registration_id=registration_id)
    return (await SignupServiceStub(channel).GetRegistration(request)).registration


async def until(
    channel: grpc.aio.Channel, registration_id: str, state: pb.Confirmation.State.ValueType
) -> pb.Registration:
    return await eventually(lambda: read(channel, registration_id), lambda found: found.confirmation.state == state)


async def test_sequential_answers_with_the_email_sent(neighbours: Neighbourhood) -> None:
    async with neighbours.email_service() as email, running(neighbours.application()) as channel:
        response = await SignupServiceStub(channel).Register(
            ada(SEQUENTIAL), metadata=(("traceparent", f"00-{TRACE}-00f067aa0ba902b7-01"),)
        )
        again = await read(channel, response.registration.registration_id)

    found = response.registration
    assert response.message == THANKS
    assert again == found
    assert (found.first_name, found.state) == ("Ada", pb.Registration.STATE_REGISTERED)
    assert (found.confirmation.state, found.confirmation.attempts, found.confirmation.mode) == (SENT, 1, SEQUENTIAL)
    assert found.confirmation.email_id == f"email-of-{found.registration_id}"
    assert found.confirmation.trace_id == TRACE
    assert str(email.metadata[0]["traceparent"]).startswith(f"00-{TRACE}-")


async def test_the_email_says_which_race_and_where_the_outcome_goes(neighbours: Neighbourhood) -> None:
    async with neighbours.email_service() as email, running(neighbours.application()) as channel:
        found = (await SignupServiceStub(channel).Register(ada(SEQUENTIAL))).registration

    sent = email.requests.get_nowait().email
    content = sent.registration_confirmation
    assert (sent.to, sent.idempotency_key) == ("ada@example.org", f"confirmation:{found.registration_id}")
    assert (sent.report_queue, sent.correlation_id) == ("email-reports", found.registration_id)
    assert (content.first_name, content.race, content.distance) == ("Ada", "Baton Marathon", "Half marathon")
    assert (content.registration_id, content.location) == (found.registration_id, "Town Hall Square")
    assert content.start_time == Timestamp(seconds=1_809_241_200)


async def test_a_registration_stands_whatever_becomes_of_its_email(neighbours: Neighbourhood) -> None:
    neighbours.email.errors = [FailedPrecondition("SMTP_550", "no such user", subject="ada")]

    async with neighbours.email_service(), running(neighbours.application()) as channel:
        response = await SignupServiceStub(channel).Register(ada(SEQUENTIAL))

    assert response.message == THANKS
    assert response.registration.confirmation.state == FAILED
    assert response.registration.confirmation.last_error == "SMTP_550: no such user"


async def test_without_the_email_service_sequential_says_so_and_registers(neighbours: Neighbourhood) -> None:
    async with running(neighbours.application()) as channel:
        found = (await SignupServiceStub(channel).Register(ada(SEQUENTIAL))).registration

    assert (found.state, found.confirmation.state) == (pb.Registration.STATE_REGISTERED, FAILED)
    assert found.confirmation.last_error == "UNAVAILABLE: the email service did not answer"


async def test_sequential_answers_in_its_callers_time_and_sends_all_the_same(neighbours: Neighbourhood) -> None:
    neighbours.email.open.clear()

    async with neighbours.email_service() as email, running(neighbours.application()) as channel:
        response = await SignupServiceStub(channel).Register(ada(SEQUENTIAL), timeout=1.0)
        email.open.set()
        settled = await until(channel, response.registration.registration_id, SENT)

    assert response.registration.confirmation.state == PENDING
    assert settled.confirmation.attempts == 1


async def test_background_answers_at_once_and_sends_meanwhile(neighbours: Neighbourhood) -> None:
    neighbours.email.open.clear()

    async with neighbours.email_service() as email, running(neighbours.application()) as channel:
        response = await SignupServiceStub(channel).Register(ada(BACKGROUND), timeout=1.0)
        await email.requests.get()
        email.open.set()
        settled = await until(channel, response.registration.registration_id, SENT)

    assert response.registration.confirmation.state == PENDING
    assert settled.confirmation.mode == BACKGROUND


async def test_background_comes_back_when_the_email_service_wants_it(neighbours: Neighbourhood) -> None:
    clock = FakeClock()
    neighbours.email.errors = [Unavailable("SMTP_451", "busy", retry_delay=timedelta(seconds=5))]

    async with neighbours.email_service() as email, running(neighbours.application(clock)) as channel:
        registration_id = (await SignupServiceStub(channel).Register(ada(BACKGROUND))).registration.registration_id
        await email.requests.get()
        waiting = await eventually(
            lambda: read(channel, registration_id), lambda found: found.confirmation.attempts == 1
        )
        clock.turn(5_000_000)
        settled = await until(channel, registration_id, SENT)

    assert (waiting.confirmation.state, waiting.confirmation.last_error) == (PENDING, "SMTP_451: busy")
    assert settled.confirmation.attempts == 2


async def test_a_stop_waits_for_confirmations_under_way(neighbours: Neighbourhood) -> None:
    neighbours.email.open.clear()
    application = neighbours.application()

    async with neighbours.email_service() as email, running(application) as channel:
        registration_id = (await SignupServiceStub(channel).Register(ada(BACKGROUND))).registration.registration_id
        await email.requests.get()
        draining = asyncio.create_task(application.drain())
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await SignupServiceStub(channel).Register(ada(BACKGROUND, email="bob@example.org"))
        email.open.set()
        await draining
        settled = await read(channel, registration_id)

    assert read_error(refusal.value).reason == "DRAINING"
    assert settled.confirmation.state == SENT


@pytest.mark.parametrize("mode", [QUEUED, pb.CONFIRMATION_MODE_UNSPECIFIED])
async def test_queued_hands_the_email_to_the_broker(
    mode: pb.ConfirmationMode.ValueType, neighbours: Neighbourhood
) -> None:
    async with neighbours.broker() as broker, running(neighbours.application()) as channel:
        registered = (await SignupServiceStub(channel).Register(ada(mode))).registration
        handed_over = await broker.requests.get()
        noted = await eventually(
            lambda: read(channel, registered.registration_id), lambda found: found.confirmation.message_id != ""
        )

    (message,) = handed_over.messages
    email = email_service_pb2.SendEmailRequest.FromString(message.typed.value).email
    assert (registered.confirmation.state, registered.confirmation.mode) == (PENDING, QUEUED)
    assert handed_over.queue == "registration-confirmations"
    assert message.typed.type_name == "baton.email.v1.SendEmailRequest"
    assert message.deduplication_id == email.idempotency_key == f"confirmation:{registered.registration_id}"
    assert message.attributes["traceparent"].split("-")[1] == registered.confirmation.trace_id
    assert noted.confirmation.message_id == f"message-of-{message.deduplication_id}"


async def test_queued_needs_no_broker_to_answer_and_hands_over_when_it_comes(neighbours: Neighbourhood) -> None:
    async with running(neighbours.application()) as channel:
        registered = (await SignupServiceStub(channel).Register(ada(QUEUED))).registration
        assert registered.confirmation.state == PENDING

        async with neighbours.broker() as broker:
            handed_over = await broker.requests.get()
            noted = await eventually(
                lambda: read(channel, registered.registration_id), lambda found: found.confirmation.message_id != ""
            )

    assert handed_over.messages[0].deduplication_id.endswith(registered.registration_id)
    assert noted.confirmation.state == PENDING


async def test_what_a_stop_leaves_in_the_outbox_goes_out_at_the_next_start(neighbours: Neighbourhood) -> None:
    async with running(neighbours.application()) as channel:
        registered = (await SignupServiceStub(channel).Register(ada(QUEUED))).registration

    async with neighbours.broker() as broker, running(neighbours.application()):
        handed_over = await broker.requests.get()

    assert handed_over.messages[0].deduplication_id.endswith(registered.registration_id)


@pytest.mark.parametrize("mode", [SEQUENTIAL, BACKGROUND, QUEUED])
async def test_a_second_registration_of_an_address_is_refused_without_a_word_about_the_first(
    mode: pb.ConfirmationMode.ValueType, neighbours: Neighbourhood
) -> None:
    async with neighbours.email_service(), neighbours.broker(), running(neighbours.application()) as channel:
        stub = SignupServiceStub(channel)
        first = (await stub.Register(ada(mode))).registration

        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await stub.Register(ada(mode, email="ADA@example.org"))

    resource = error_details_pb2.ResourceInfo()
    status = rpc_status.from_call(refusal.value)
    assert any(detail.Unpack(resource) for detail in status.details)
    assert read_error(refusal.value).reason == "REGISTRATION_EXISTS"
    assert read_error(refusal.value).domain == "signup.baton"
    assert (resource.resource_type, resource.resource_name) == ("registration", "ADA@example.org")
    assert first.registration_id not in str(status)


async def test_of_many_registrations_of_one_address_at_once_one_wins(neighbours: Neighbourhood) -> None:
    async with neighbours.broker(), running(neighbours.application()) as channel:
        stub = SignupServiceStub(channel)
        calls = [stub.Register(ada()) for _ in range(10)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        listed = (await stub.ListRegistrations(service_pb.ListRegistrationsRequest())).registrations

    refused = [answer for answer in answers if isinstance(answer, grpc.aio.AioRpcError)]
    assert len(refused) == 9
    assert {answer.code() for answer in refused} == {grpc.StatusCode.ALREADY_EXISTS}
    assert len(listed) == 1


async def test_a_repeated_request_gets_the_first_answer_and_makes_no_second_email(neighbours: Neighbourhood) -> None:
    async with neighbours.email_service() as email, running(neighbours.application()) as channel:
        stub = SignupServiceStub(channel)
        calls = [stub.Register(ada(SEQUENTIAL, request_id="r1")) for _ in range(3)]
        answers = [*await asyncio.gather(*calls), await stub.Register(ada(SEQUENTIAL, request_id="r1"))]

        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await stub.Register(ada(SEQUENTIAL, email="bob@example.org", request_id="r1"))

    assert len({answer.registration.registration_id for answer in answers}) == 1
    assert {answer.registration.confirmation.state for answer in answers} == {SENT}
    assert email.requests.qsize() == 1
    assert (refusal.value.code(), read_error(refusal.value).reason) == (
        grpc.StatusCode.ALREADY_EXISTS,
        "REQUEST_ID_REUSED",
    )


async def test_bad_input_is_refused_with_every_violation_and_nothing_is_stored(neighbours: Neighbourhood) -> None:
    bad = service_pb.RegisterRequest(
        registration=pb.Registration(first_name="  ", email="nobody", address="x" * 1_025), request_id="x" * 129
    )

    async with neighbours.broker() as broker, running(neighbours.application()) as channel:
        stub = SignupServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await stub.Register(bad)
        listed = (await stub.ListRegistrations(service_pb.ListRegistrationsRequest())).registrations

    request = error_details_pb2.BadRequest()
    assert refusal.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert any(detail.Unpack(request) for detail in rpc_status.from_call(refusal.value).details)
    assert {violation.field for violation in request.field_violations} == {
        "registration.first_name",
        "registration.last_name",
        "registration.email",
        "registration.address",
        "registration.distance",
        "request_id",
    }
    assert len(listed) == 0
    assert broker.requests.empty()


async def test_an_unknown_registration_is_not_found(neighbours: Neighbourhood) -> None:
    async with running(neighbours.application()) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await read(channel, "nobody")

    assert refusal.value.code() == grpc.StatusCode.NOT_FOUND
    assert read_error(refusal.value).reason == "REGISTRATION_NOT_FOUND"


async def test_pages_hold_every_registration_once_while_more_arrive(neighbours: Neighbourhood) -> None:
    async with neighbours.broker(), running(neighbours.application()) as channel:
        stub = SignupServiceStub(channel)
        for number in range(5):
            await stub.Register(ada(email=f"runner{number}@example.org"))

        first = await stub.ListRegistrations(service_pb.ListRegistrationsRequest(page_size=2))
        await stub.Register(ada(email="late@example.org"))
        rest = await stub.ListRegistrations(service_pb.ListRegistrationsRequest(page_token=first.next_page_token))

    emails = [found.email for found in (*first.registrations, *rest.registrations)]
    assert emails == [*(f"runner{number}@example.org" for number in range(5)), "late@example.org"]
    assert rest.next_page_token == ""


async def test_a_list_can_be_of_one_confirmation_state(neighbours: Neighbourhood) -> None:
    neighbours.email.errors = [FailedPrecondition("SMTP_550", "no such user", subject="ada")]

    async with neighbours.email_service(), running(neighbours.application()) as channel:
        stub = SignupServiceStub(channel)
        for name in ("ada", "bob"):
            await stub.Register(ada(SEQUENTIAL, email=f"{name}@example.org"))
        listed = [
            (await stub.ListRegistrations(service_pb.ListRegistrationsRequest(confirmation_state=state))).registrations
            for state in (FAILED, SENT, PENDING)
        ]

    assert [[found.email for found in page] for page in listed] == [["ada@example.org"], ["bob@example.org"], []]


async def test_a_page_token_of_nobodys_making_is_refused(neighbours: Neighbourhood) -> None:
    async with running(neighbours.application()) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await SignupServiceStub(channel).ListRegistrations(service_pb.ListRegistrationsRequest(page_token="!"))

    assert refusal.value.code() == grpc.StatusCode.INVALID_ARGUMENT
