"""Registrations as protobuf, and back: the only place that knows both."""

from collections.abc import Sequence

from baton.signup.v1 import registration_pb2 as pb
from baton.signup.v1 import signup_service_pb2 as service_pb
from mesh import page_token
from mesh.wire_time import instant_to
from signup_service.registration import Confirmation, ConfirmationState, Distance, Mode, Registration, Runner

# The contract's bound of a page, less what the token and its framing take.
MAX_PAGE_BYTES = 3 * 1024 * 1024 - 1_024


def runner(message: pb.Registration) -> Runner:
    """The runner in a registration that passed its field rules."""
    return Runner(
        first_name=message.first_name.strip(),
        last_name=message.last_name.strip(),
        email=message.email,
        address=message.address,
        distance=Distance[pb.Distance.Name(message.distance).removeprefix("DISTANCE_")],
    )


def mode(number: "pb.ConfirmationMode.ValueType") -> Mode:
    """How to send; QUEUED when the caller does not say."""
    if number == pb.CONFIRMATION_MODE_UNSPECIFIED:
        return Mode.QUEUED
    return Mode[pb.ConfirmationMode.Name(number).removeprefix("CONFIRMATION_MODE_")]


def state_filter(number: "pb.Confirmation.State.ValueType") -> ConfirmationState | None:
    """The state to list; None for all."""
    if number == pb.Confirmation.STATE_UNSPECIFIED:
        return None
    return ConfirmationState[pb.Confirmation.State.Name(number).removeprefix("STATE_")]


def registration(found: Registration) -> pb.Registration:
    """A registration as the caller sees it."""
    return pb.Registration(
        registration_id=found.registration_id,
        first_name=found.runner.first_name,
        last_name=found.runner.last_name,
        email=found.runner.email,
        address=found.runner.address,
        distance=pb.Distance.Value(f"DISTANCE_{found.runner.distance.name}"),
        state=pb.Registration.State.Value(f"STATE_{found.state.name}"),
        confirmation=_confirmation(found.confirmation),
        create_time=instant_to(found.create_time),
        update_time=instant_to(found.update_time),
    )


def page(found: Sequence[Registration], size: int) -> service_pb.ListRegistrationsResponse:
    """As many of the registrations as ``size`` and the bound in bytes let in; a token when some are left."""
    response = service_pb.ListRegistrationsResponse()
    room = MAX_PAGE_BYTES
    for message in map(registration, found[:size]):
        room -= message.ByteSize() + 4
        if room < 0:
            break
        response.registrations.append(message)
    if len(response.registrations) < len(found):
        response.next_page_token = page_token.encode(response.registrations[-1].registration_id)
    return response


def _confirmation(confirmation: Confirmation) -> pb.Confirmation:
    return pb.Confirmation(
        state=pb.Confirmation.State.Value(f"STATE_{confirmation.state.name}"),
        mode=pb.ConfirmationMode.Value(f"CONFIRMATION_MODE_{confirmation.mode.name}"),
        attempts=confirmation.attempts,
        last_error=confirmation.last_error,
        message_id=confirmation.message_id,
        email_id=confirmation.email_id,
        trace_id=confirmation.trace_id,
        update_time=instant_to(confirmation.update_time),
    )
