"""Many registrations at one moment: of one call, and of one address however it is written."""

import asyncio
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from baton.signup.v1 import registration_pb2 as pb
from baton.signup.v1 import signup_service_pb2 as service_pb
from baton.signup.v1.signup_service_pb2_grpc import SignupServiceStub
from mesh.status import read_error
from tests.support.running import running
from tests.unit.signup_service.neighbour import Neighbourhood, RecordingProducer, eventually

if TYPE_CHECKING:
    from baton.signup.v1.signup_service_pb2_grpc import SignupServiceAsyncStub

AT_ONCE = 50
QUEUED, BACKGROUND, SEQUENTIAL = (
    pb.CONFIRMATION_MODE_QUEUED,
    pb.CONFIRMATION_MODE_BACKGROUND,
    pb.CONFIRMATION_MODE_SEQUENTIAL,
)
# Each row is one mailbox, in the ways in which a person or a program may write it.
ONE_MAILBOX = {
    "letter case": ("Ada@Example.org", "ada@example.org", "ADA@EXAMPLE.ORG"),
    "composed and decomposed letters": (
        "j\u00fcrgen@example.org",
        "ju\u0308rgen@example.org",
        "JU\u0308RGEN@example.org",
    ),
    "U-label and A-label": ("ada@b\u00fccher.example", "ada@xn--bcher-kva.example", "ada@BU\u0308CHER.example"),
    "a letter that IDNA 2003 had no place for": ("ada@stra\u00dfe.example", "ada@xn--strae-oqa.example"),
    "full stops and letters of other widths": ("ada@example.org", "ada@example\u3002org", "ada@\uff45xample.org"),
    "quotes that say nothing": ("ada@example.org", '"ada"@example.org', '"\\ada"@example.org'),
    "a sigma at the end": ("\u03b1\u03c3@example.org", "\u0391\u03a3@example.org", "\u03b1\u03c2@example.org"),
}
TWO_MAILBOXES = {
    "a quoted blank": ('"ada lovelace"@example.org', "adalovelace@example.org"),
    "a sharp s in the domain": ("ada@stra\u00dfe.example", "ada@strasse.example"),
    "a sharp s in the name": ("stra\u00dfe@example.org", "strasse@example.org"),
    "a tag": ("ada@example.org", "ada+run@example.org"),
}


@pytest.fixture
def neighbours(tmp_path: Path) -> Neighbourhood:
    return Neighbourhood(tmp_path)


def request(
    email: str, mode: pb.ConfirmationMode.ValueType = QUEUED, request_id: str = ""
) -> service_pb.RegisterRequest:
    registration = pb.Registration(first_name="Ada", last_name="L", email=email, distance=pb.DISTANCE_MARATHON)
    return service_pb.RegisterRequest(registration=registration, confirmation_mode=mode, request_id=request_id)


async def listed(stub: "SignupServiceAsyncStub") -> list[pb.Registration]:
    return list((await stub.ListRegistrations(service_pb.ListRegistrationsRequest())).registrations)


async def all_decided(stub: "SignupServiceAsyncStub", mode: pb.ConfirmationMode.ValueType) -> list[pb.Registration]:
    """The registrations once every confirmation was sent, or handed to the broker."""

    def on_its_way(found: list[pb.Registration]) -> bool:
        handed_over = [bool(each.confirmation.message_id) for each in found]
        sent = [each.confirmation.state == pb.Confirmation.STATE_SENT for each in found]
        return all(handed_over if mode == QUEUED else sent)

    return await eventually(lambda: listed(stub), on_its_way)


@pytest.mark.parametrize("mode", [QUEUED, BACKGROUND, SEQUENTIAL], ids=["queued", "background", "sequential"])
async def test_fifty_calls_at_once_under_one_request_id_are_one_registration_and_one_email(
    mode: pb.ConfirmationMode.ValueType, neighbours: Neighbourhood
) -> None:
    async with (
        neighbours.broker() as broker,
        neighbours.email_service() as email,
        running(neighbours.application()) as channel,
    ):
        stub = SignupServiceStub(channel)
        answers = await asyncio.gather(
            *(stub.Register(request("ada@example.org", mode, request_id="r1")) for _ in range(AT_ONCE))
        )
        (registration,) = await all_decided(stub, mode)
        late = await stub.Register(request("ada@example.org", mode, request_id="r1"))

    emails = email.requests.qsize() + messages(broker)
    assert {answer.message for answer in answers} == {late.message}
    assert {identity(answer.registration) for answer in [*answers, late]} == {identity(registration)}
    assert late.registration == registration
    assert emails == 1


def identity(registration: pb.Registration) -> bytes:
    """The registration without what may change from one answer to the next: how far its email has come."""
    rest = pb.Registration()
    rest.CopyFrom(registration)
    rest.ClearField("confirmation")
    rest.ClearField("update_time")
    return rest.SerializeToString(deterministic=True)


def messages(broker: RecordingProducer) -> int:
    """How many the broker was handed, repeats among them."""
    return sum(len(broker.requests.get_nowait().messages) for _ in range(broker.requests.qsize()))


@pytest.mark.parametrize("forms", ONE_MAILBOX.values(), ids=ONE_MAILBOX)
async def test_of_fifty_registrations_of_one_mailbox_at_once_one_wins(
    forms: tuple[str, ...], neighbours: Neighbourhood
) -> None:
    written = list(islice(cycle(forms), AT_ONCE))

    async with neighbours.broker() as broker, running(neighbours.application()) as channel:
        stub = SignupServiceStub(channel)
        calls = (stub.Register(request(email, request_id=f"r{n}")) for n, email in enumerate(written))
        answers = await asyncio.gather(*calls, return_exceptions=True)
        (registration,) = await all_decided(stub, QUEUED)

    refused = {email: error for email, error in zip(written, answers, strict=True) if isinstance(error, grpc.RpcError)}
    won = [answer for answer in answers if isinstance(answer, service_pb.RegisterResponse)]
    assert [answer.registration.registration_id for answer in won] == [registration.registration_id]
    assert {read_error(error).reason for error in refused.values()} == {"REGISTRATION_EXISTS"}
    assert {email: resource(error) for email, error in refused.items()} == {
        email: ("registration", email) for email in refused
    }
    assert messages(broker) == 1


def resource(error: grpc.RpcError) -> tuple[str, str]:
    """Whom the refusal names."""
    found = error_details_pb2.ResourceInfo()
    assert any(detail.Unpack(found) for detail in rpc_status.from_call(error).details)
    return found.resource_type, found.resource_name


@pytest.mark.parametrize("forms", TWO_MAILBOXES.values(), ids=TWO_MAILBOXES)
async def test_two_mailboxes_that_look_alike_both_register(forms: tuple[str, str], neighbours: Neighbourhood) -> None:
    async with neighbours.broker(), running(neighbours.application()) as channel:
        stub = SignupServiceStub(channel)
        await asyncio.gather(*(stub.Register(request(email)) for email in forms))
        registrations = await listed(stub)

    assert {registration.email for registration in registrations} == set(forms)
