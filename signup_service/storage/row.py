"""A registration as a row, and back."""

from typing import Any

import sqlalchemy as sa

from signup_service.registration import Confirmation, ConfirmationState, Distance, Mode, Registration, Runner, State


def values(registration: Registration) -> dict[str, Any]:
    """Every column of the registration's row."""
    runner, live = registration.runner, registration.state is State.REGISTERED
    return {
        "registration_id": registration.registration_id,
        "first_name": runner.first_name,
        "last_name": runner.last_name,
        "email": runner.email,
        "address": runner.address,
        "distance": runner.distance.name,
        "state": registration.state.name,
        "live_email_key": runner.email_key if live else None,
        "create_time": registration.create_time,
        "update_time": registration.update_time,
        **_confirmation_values(registration.confirmation),
    }


def _confirmation_values(confirmation: Confirmation) -> dict[str, Any]:
    return {
        "confirmation_key": confirmation.key,
        "confirmation_mode": confirmation.mode.name,
        "confirmation_state": confirmation.state.name,
        "attempts": confirmation.attempts,
        "last_error": confirmation.last_error,
        "message_id": confirmation.message_id,
        "email_id": confirmation.email_id,
        "trace_id": confirmation.trace_id,
        "confirmation_time": confirmation.update_time,
    }


def registration(row: sa.Row[Any]) -> Registration:
    """The registration in a row."""
    return Registration(
        registration_id=row.registration_id,
        runner=Runner(row.first_name, row.last_name, row.email, row.address, Distance[row.distance]),
        confirmation=_confirmation(row),
        create_time=row.create_time,
        update_time=row.update_time,
        state=State[row.state],
    )


def _confirmation(row: sa.Row[Any]) -> Confirmation:
    return Confirmation(
        key=row.confirmation_key,
        mode=Mode[row.confirmation_mode],
        trace_id=row.trace_id,
        update_time=row.confirmation_time,
        state=ConfirmationState[row.confirmation_state],
        attempts=row.attempts,
        last_error=row.last_error,
        message_id=row.message_id,
        email_id=row.email_id,
    )
