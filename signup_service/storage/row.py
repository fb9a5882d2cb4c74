"""A registration and its emails as rows, and back."""

from typing import Any

import sqlalchemy as sa

from signup_service.registration import (
    Cancellation,
    Cause,
    Distance,
    Mode,
    Notice,
    NoticeState,
    Registration,
    Runner,
    State,
)
from signup_service.storage.schema import NOTICES, REGISTRATIONS

_CONFIRMATION, _CANCELLATION = NOTICES.alias("confirmation"), NOTICES.alias("cancellation")


def _labelled(alias: sa.FromClause, prefix: str) -> list[sa.Label[Any]]:
    return [column.label(f"{prefix}_{column.name}") for column in alias.c]


# Whole registrations: each with its newest confirmation, and the email about its cancellation if there is one.
WHOLE = sa.select(
    REGISTRATIONS, *_labelled(_CONFIRMATION, "confirmed_by"), *_labelled(_CANCELLATION, "told_by")
).select_from(
    REGISTRATIONS.join(_CONFIRMATION, _CONFIRMATION.c.key == REGISTRATIONS.c.confirmation_key).outerjoin(
        _CANCELLATION, _CANCELLATION.c.key == REGISTRATIONS.c.cancellation_key
    )
)


def registration_values(registration: Registration) -> dict[str, Any]:
    """Every column of the registration's own row."""
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
        "confirmation_key": registration.confirmation.key,
        "confirmation_state": registration.confirmation.state.name,
        "unconfirmed_since": registration.unconfirmed_since,
        "create_time": registration.create_time,
        "update_time": registration.update_time,
        **_cancellation_values(registration.cancellation),
    }


def _cancellation_values(cancellation: Cancellation | None) -> dict[str, Any]:
    if cancellation is None:
        return dict.fromkeys(("cancellation_key", "cause", "reason", "cancel_time"))
    return {
        "cancellation_key": cancellation.notice.key,
        "cause": cancellation.cause.name,
        "reason": cancellation.reason,
        "cancel_time": cancellation.cancel_time,
    }


def notice_values(registration_id: str, notice: Notice) -> dict[str, Any]:
    """Every column of the row of one of a registration's emails."""
    return {
        "key": notice.key,
        "registration_id": registration_id,
        "mode": notice.mode.name,
        "state": notice.state.name,
        "attempts": notice.attempts,
        "last_error": notice.last_error,
        "message_id": notice.message_id,
        "email_id": notice.email_id,
        "trace_id": notice.trace_id,
        "create_time": notice.create_time,
        "update_time": notice.update_time,
    }


def registration(columns: sa.RowMapping) -> Registration:
    """The registration in a row of `WHOLE`."""
    return Registration(
        registration_id=columns["registration_id"],
        runner=_runner(columns),
        confirmation=_notice(columns, "confirmed_by_"),
        create_time=columns["create_time"],
        update_time=columns["update_time"],
        unconfirmed_since=columns["unconfirmed_since"],
        cancellation=None if columns["cause"] is None else _cancellation(columns),
    )


def notice(columns: sa.RowMapping) -> Notice:
    """The email in its own row."""
    return _notice(columns, "")


def _runner(columns: sa.RowMapping) -> Runner:
    distance = Distance[columns["distance"]]
    return Runner(columns["first_name"], columns["last_name"], columns["email"], columns["address"], distance)


def _cancellation(columns: sa.RowMapping) -> Cancellation:
    return Cancellation(
        cause=Cause[columns["cause"]],
        reason=columns["reason"],
        cancel_time=columns["cancel_time"],
        notice=_notice(columns, "told_by_"),
    )


def _notice(columns: sa.RowMapping, prefix: str) -> Notice:
    return Notice(
        key=columns[f"{prefix}key"],
        mode=Mode[columns[f"{prefix}mode"]],
        trace_id=columns[f"{prefix}trace_id"],
        create_time=columns[f"{prefix}create_time"],
        update_time=columns[f"{prefix}update_time"],
        state=NoticeState[columns[f"{prefix}state"]],
        attempts=columns[f"{prefix}attempts"],
        last_error=columns[f"{prefix}last_error"],
        message_id=columns[f"{prefix}message_id"],
        email_id=columns[f"{prefix}email_id"],
    )
