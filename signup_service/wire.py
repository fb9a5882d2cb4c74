"""Registrations as protobuf, and back: the only place that knows both."""

from collections.abc import Sequence

from baton.signup.v1 import registration_pb2 as pb
from baton.signup.v1 import signup_service_pb2 as service_pb
from mesh import page_token
from mesh.wire_time import instant_to
from signup_service.registration import Cancellation, Distance, Mode, Notice, NoticeState, Registration, Runner


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


def state_filter(number: "pb.Confirmation.State.ValueType") -> NoticeState | None:
    """The state to list; None for all."""
    if number == pb.Confirmation.STATE_UNSPECIFIED:
        return None
    return NoticeState[pb.Confirmation.State.Name(number).removeprefix("STATE_")]


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
        cancellation=None if found.cancellation is None else _cancellation(found.cancellation),
    )


def page(found: Sequence[Registration], size: int) -> service_pb.ListRegistrationsResponse:
    """As many of the registrations as ``size`` and the bound in bytes let in; a token when some are left."""
    messages, positions = [registration(each) for each in found[:size]], [each.registration_id for each in found]
    last = positions[size - 1] if len(found) > size else ""
    fitting, token = page_token.cut(messages, positions, last, "")
    return service_pb.ListRegistrationsResponse(registrations=fitting, next_page_token=token)


def _confirmation(confirmation: Notice) -> pb.Confirmation:
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


def _cancellation(cancellation: Cancellation) -> pb.Cancellation:
    notice = cancellation.notice
    return pb.Cancellation(
        cause=pb.Cancellation.Cause.Value(f"CAUSE_{cancellation.cause.name}"),
        reason=cancellation.reason,
        cancel_time=instant_to(cancellation.cancel_time),
        email_state=pb.Confirmation.State.Value(f"STATE_{notice.state.name}"),
        email_attempts=notice.attempts,
        email_last_error=notice.last_error,
        email_id=notice.email_id,
    )
