"""A place given back, and a confirmation sent anew: what the broker is told, in order, and what the caller reads."""

from pathlib import Path

import grpc
import pytest

from baton.email.v1 import email_service_pb2
from baton.mesh.v1 import outbox_service_pb2
from baton.mesh.v1.outbox_service_pb2_grpc import OutboxServiceStub
from baton.queue.v1 import producer_service_pb2
from baton.signup.v1 import registration_pb2 as pb
from baton.signup.v1 import signup_service_pb2 as service_pb
from baton.signup.v1.signup_service_pb2_grpc import SignupServiceStub
from mesh.errors import FailedPrecondition, NotFound
from mesh.status import read_error
from tests.support.running import running
from tests.unit.signup_service.neighbour import Neighbourhood, RecordingProducer, eventually

Confirmation, Registration = pb.Confirmation, pb.Registration
ADA = pb.Registration(first_name="Ada", last_name="L", email="ada@example.org", distance=pb.DISTANCE_MARATHON)


@pytest.fixture
def neighbours(tmp_path: Path) -> Neighbourhood:
    return Neighbourhood(tmp_path)


class Desk:
    """The sign-up service, spoken to in few words."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.stub, self._outbox = SignupServiceStub(channel), OutboxServiceStub(channel)

    async def register(self, mode: pb.ConfirmationMode.ValueType = pb.CONFIRMATION_MODE_QUEUED) -> str:
        request = service_pb.RegisterRequest(registration=ADA, confirmation_mode=mode)
        return (await self.stub.Register(request)).registration.registration_id

    async def find(self, registration_id: str) -> pb.Registration:
        request = service_pb.GetRegistrationRequest(registration_id=registration_id)
        return (await self.stub.GetRegistration(request)).registration

    async def cancel(self, registration_id: str, reason: str = "") -> pb.Registration:
        request = service_pb.CancelRegistrationRequest(registration_id=registration_id, reason=reason)
        return (await self.stub.CancelRegistration(request)).registration

    async def resend(self, registration_id: str, request_id: str = "") -> pb.Registration:
        request = service_pb.ResendConfirmationRequest(registration_id=registration_id, request_id=request_id)
        return (await self.stub.ResendConfirmation(request)).registration

    async def left_to_do(self) -> int:
        """How many entries wait in the outbox."""
        return (await self._outbox.GetOutboxStats(outbox_service_pb2.GetOutboxStatsRequest())).stats.pending_count


async def sent(broker: RecordingProducer) -> email_service_pb2.SendEmailRequest:
    """The next email that the broker is handed."""
    request = await broker.requests.get()
    (message,) = request.messages
    return email_service_pb2.SendEmailRequest.FromString(message.typed.value)


async def test_a_confirmation_that_has_not_left_is_taken_back_and_then_the_runner_told(
    neighbours: Neighbourhood,
) -> None:
    async with neighbours.broker() as broker, running(neighbours.application()) as channel:
        desk = Desk(channel)
        registration_id = await desk.register()
        confirmed = await sent(broker)
        handed = await eventually(lambda: desk.find(registration_id), lambda it: bool(it.confirmation.message_id))

        answered = await desk.cancel(registration_id, "I fell ill")
        told = await sent(broker)
        after = await eventually(
            lambda: desk.find(registration_id), lambda it: it.confirmation.state == Confirmation.STATE_WITHDRAWN
        )

    assert broker.cancelled.get_nowait() == handed.confirmation.message_id
    assert answered.state == after.state == Registration.STATE_CANCELLED
    assert (answered.cancellation.cause, answered.cancellation.reason) == (
        pb.Cancellation.CAUSE_REQUESTED,
        "I fell ill",
    )
    assert told.email.registration_cancellation.reason == "I fell ill"
    assert told.email.to == confirmed.email.to
    assert told.email.idempotency_key != confirmed.email.idempotency_key


async def test_the_runner_is_told_only_when_the_confirmation_is_out_of_the_way(neighbours: Neighbourhood) -> None:
    leased = FailedPrecondition("MESSAGE_LEASED", "it is being delivered", subject="m")
    gone = NotFound("MESSAGE_NOT_FOUND", "it was delivered", resource_type="message", resource_name="m")
    async with neighbours.broker() as broker, running(neighbours.application()) as channel:
        desk = Desk(channel)
        registration_id = await desk.register()
        await sent(broker)
        broker.refusals = [leased, gone]

        await desk.cancel(registration_id)
        asked = [await broker.cancelled.get()]
        early = broker.requests.qsize()
        asked.append(await broker.cancelled.get())
        told = await sent(broker)

    assert early == 0
    assert len(set(asked)) == 1
    assert told.email.HasField("registration_cancellation")


async def test_cancelled_twice_is_answered_alike_and_told_once(neighbours: Neighbourhood) -> None:
    async with neighbours.broker() as broker, running(neighbours.application()) as channel:
        desk = Desk(channel)
        registration_id = await desk.register()
        first = await desk.cancel(registration_id, "first")
        again = await desk.register()  # the address is free
        second = await desk.cancel(registration_id, "second")
        await eventually(desk.left_to_do, lambda count: count == 0)

    keys: list[str] = []
    while not broker.requests.empty():
        keys += [each.deduplication_id for each in broker.requests.get_nowait().messages]
    assert again != registration_id
    assert second.cancellation.reason == first.cancellation.reason == "first"
    assert [key for key in keys if key.startswith("cancellation:")] == [f"cancellation:{registration_id}"]


@pytest.mark.parametrize("mode", [pb.CONFIRMATION_MODE_BACKGROUND, pb.CONFIRMATION_MODE_QUEUED])
async def test_a_confirmation_is_sent_anew_as_another_email(
    mode: pb.ConfirmationMode.ValueType, neighbours: Neighbourhood
) -> None:
    async with (
        neighbours.email_service(),
        neighbours.broker() as broker,
        running(neighbours.application()) as channel,
    ):
        desk = Desk(channel)
        registration_id = await desk.register(mode)
        if mode == pb.CONFIRMATION_MODE_BACKGROUND:
            await eventually(
                lambda: desk.find(registration_id), lambda it: it.confirmation.state == Confirmation.STATE_SENT
            )
        else:
            await sent(broker)

        answered = await desk.resend(registration_id, "again")
        repeated = await desk.resend(registration_id, "again")
        anew = await sent(broker)

    assert answered.confirmation.state == repeated.confirmation.state == Confirmation.STATE_PENDING
    assert answered.confirmation.mode == pb.CONFIRMATION_MODE_QUEUED
    assert anew.email.idempotency_key == f"confirmation:{registration_id}:2"
    assert broker.requests.empty()


async def test_what_is_cancelled_is_not_confirmed_again(neighbours: Neighbourhood) -> None:
    async with neighbours.broker(), running(neighbours.application()) as channel:
        desk = Desk(channel)
        registration_id = await desk.register()
        await desk.cancel(registration_id)

        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await desk.resend(registration_id)

    assert refusal.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert read_error(refusal.value).reason == "REGISTRATION_CANCELLED"


@pytest.mark.parametrize("method", ["ResendConfirmation", "CancelRegistration"])
async def test_nobodys_registration_is_not_found(method: str, neighbours: Neighbourhood) -> None:
    async with running(neighbours.application()) as channel:
        request = getattr(service_pb, f"{method}Request")(registration_id="nobody")
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await getattr(SignupServiceStub(channel), method)(request)

    assert refusal.value.code() is grpc.StatusCode.NOT_FOUND
    assert read_error(refusal.value).reason == "REGISTRATION_NOT_FOUND"


async def test_what_was_left_to_do_is_done_after_a_restart(neighbours: Neighbourhood) -> None:
    async with running(neighbours.application()) as channel:
        registration_id = await Desk(channel).register()
        await Desk(channel).cancel(registration_id)

    async with neighbours.broker() as broker, running(neighbours.application()) as channel:
        withheld: producer_service_pb2.SendMessagesRequest = await broker.requests.get()
        taken_back = await broker.cancelled.get()
        told = await sent(broker)
        after = await Desk(channel).find(registration_id)

    (message,) = withheld.messages
    assert message.delay.ToTimedelta().days == 7
    assert taken_back == f"message-of-confirmation:{registration_id}"
    assert told.email.HasField("registration_cancellation")
    assert after.confirmation.state == Confirmation.STATE_WITHDRAWN
