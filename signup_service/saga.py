"""The saga of a registration: every stage, and the one table of how it may go on (docs/registration_saga.md).

A stage is whether the place is taken, and where the newest confirmation stands. News of an email comes more than once
and in any order, and what the table has no place for changes nothing. Everything here is a pure function.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto

from signup_service.errors import RegistrationCancelled
from signup_service.outcome import Outcome, after
from signup_service.registration import Cancellation, Cause, Mode, Notice, NoticeState, Registration, State


class Event(Enum):
    """What happens to a registration: a try that failed for now, an end of its confirmation, or somebody's wish."""

    TRIED = auto()
    SENT = auto()
    FAILED = auto()
    WITHDRAWN = auto()
    RESEND = auto()
    CANCEL = auto()


Stage = tuple[State, NoticeState]

_PENDING, _SENT, _FAILED = (
    (State.REGISTERED, state) for state in (NoticeState.PENDING, NoticeState.SENT, NoticeState.FAILED)
)
_OFF_PENDING, _OFF_SENT, _OFF_FAILED, _OFF_WITHDRAWN = ((State.CANCELLED, state) for state in NoticeState)

TRANSITIONS: Mapping[Stage, Mapping[Event, Stage]] = {
    _PENDING: {
        Event.TRIED: _PENDING,
        Event.SENT: _SENT,
        Event.FAILED: _FAILED,
        Event.RESEND: _PENDING,
        Event.CANCEL: _OFF_PENDING,
    },
    _SENT: {Event.SENT: _SENT, Event.RESEND: _PENDING, Event.CANCEL: _OFF_SENT},
    _FAILED: {Event.SENT: _SENT, Event.FAILED: _FAILED, Event.RESEND: _PENDING, Event.CANCEL: _OFF_FAILED},
    _OFF_PENDING: {
        Event.TRIED: _OFF_PENDING,
        Event.SENT: _OFF_SENT,
        Event.FAILED: _OFF_FAILED,
        Event.WITHDRAWN: _OFF_WITHDRAWN,
        Event.CANCEL: _OFF_PENDING,
    },
    _OFF_SENT: {Event.SENT: _OFF_SENT, Event.CANCEL: _OFF_SENT},
    _OFF_FAILED: {Event.SENT: _OFF_SENT, Event.FAILED: _OFF_FAILED, Event.CANCEL: _OFF_FAILED},
    _OFF_WITHDRAWN: {Event.SENT: _OFF_SENT, Event.FAILED: _OFF_FAILED, Event.CANCEL: _OFF_WITHDRAWN},
}

_NEWS = {
    NoticeState.PENDING: Event.TRIED,
    NoticeState.SENT: Event.SENT,
    NoticeState.FAILED: Event.FAILED,
    NoticeState.WITHDRAWN: Event.WITHDRAWN,
}


@dataclass(frozen=True, slots=True)
class Noted:
    """What news made of a registration and of the email it is about; both as they were when it was nothing new."""

    registration: Registration
    notice: Notice


def stage_of(registration: Registration) -> Stage:
    """Where a registration stands."""
    return registration.state, registration.confirmation.state


def noted(registration: Registration, notice: Notice, outcome: Outcome, now: int) -> Noted:
    """News of one of the registration's emails.

    An email that is not the newest confirmation - one before it, one about a cancellation - goes the way of a cancelled
    registration's confirmation: it may still be withdrawn.
    """
    newest = notice.key == registration.confirmation.key
    place = registration.state if newest else State.CANCELLED
    target = TRANSITIONS[place, notice.state].get(_NEWS[outcome.state])
    changed = notice if target is None else after(notice, outcome, now)
    if changed is notice:
        return Noted(registration, notice)
    shown = registration.showing(changed)
    if changed.state is NoticeState.SENT and shown.unconfirmed_since is not None:
        shown = replace(shown, unconfirmed_since=None)
    return Noted(shown, changed)


def resent(registration: Registration, number: int, trace_id: str, now: int) -> Registration:
    """A confirmation of its own, the ``number``-th, takes the place of the one before.

    Raises:
        RegistrationCancelled: there is nothing to confirm any more.
    """
    if Event.RESEND not in TRANSITIONS[stage_of(registration)]:
        raise RegistrationCancelled(registration.registration_id)
    key = f"confirmation:{registration.registration_id}:{number}"
    waiting = registration.unconfirmed_since is not None
    return replace(
        registration,
        confirmation=Notice(key, Mode.QUEUED, trace_id, now, now),
        unconfirmed_since=now if waiting else None,
        update_time=now,
    )


def cancelled(registration: Registration, cause: Cause, reason: str, now: int) -> Registration:
    """The place is taken back, and the runner to be told; the very same object when it had been already.

    So it is when nobody asked for it and a confirmation got through at the last moment.
    """
    confirmed = registration.unconfirmed_since is None
    if registration.cancellation is not None or (cause is Cause.UNCONFIRMED and confirmed):
        return registration
    trace_id = registration.confirmation.trace_id
    notice = Notice(f"cancellation:{registration.registration_id}", Mode.QUEUED, trace_id, now, now)
    return replace(
        registration,
        cancellation=Cancellation(cause, reason, now, notice),
        unconfirmed_since=None,
        update_time=now,
    )
