"""What happens to the emails of a registration, in the caller's transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import sqlalchemy as sa

from mesh.clock import microseconds
from mesh.outbox_entry import HandedOver, HandOver
from signup_service import saga
from signup_service.errors import RegistrationNotFound
from signup_service.outcome import PENDING, TAKEN_BACK, News, Outcome
from signup_service.registration import DIRECT_LIMIT, Mode, Notice, Registration, State
from signup_service.storage import row
from signup_service.storage.base import EntryOf
from signup_service.storage.schema import NOTICES, OUTBOX
from signup_service.storage.sql_whole import update, update_notice, whole


class Emails:
    """The statements.

    Args:
        entry_of: writes what goes to the outbox.
    """

    def __init__(self, entry_of: EntryOf) -> None:
        self._entry_of = entry_of

    def note(self, connection: sa.Connection, news: News, now: int) -> Registration | RegistrationNotFound:
        """Let news change what is known of one email."""
        try:
            registration, notice = _subject(connection, news)
        except RegistrationNotFound as error:
            return error
        return _note(connection, registration, notice, news.outcome, now)

    def note_handed_over(
        self, connection: sa.Connection, results: Mapping[str, HandedOver], now: int
    ) -> Sequence[Registration]:
        """Note message ids, and what was withdrawn."""
        found = connection.execute(sa.select(NOTICES).where(NOTICES.c.key.in_(list(results))))
        changed = []
        for each in found.mappings().all():
            notice, result = row.notice(each), results[each["key"]]
            registration = whole(connection, each["registration_id"], lock=True)
            if result.what is HandOver.SENT:
                changed.append(_handed_over(connection, registration, notice, result.message_id, now))
            else:  # also when it is GONE: the answer to an earlier try may have been lost; other news still counts
                changed.append(_note(connection, registration, notice, TAKEN_BACK, now))
        return changed

    def withdraw(self, connection: sa.Connection, registration: Registration, now: int) -> int | None:
        """Have a confirmation that is still on its way taken back; the instant before which nothing may follow it.

        One that is sent directly cannot be taken back: it is out of the way when its time is over or it is decided.
        """
        notice = registration.confirmation
        if notice.state is not PENDING:
            return None
        if notice.mode is not Mode.QUEUED:
            return now + microseconds(DIRECT_LIMIT)
        if not OUTBOX.withdraw(connection, notice.key, now):
            entry = self._entry_of(registration, notice)
            OUTBOX.add(connection, [replace(entry, withdraw=True, message_id=notice.message_id)], now)
        return None

    def take_over(self, connection: sa.Connection, registration_id: str, notice: Notice, now: int) -> None:
        """Send through the broker what was to be sent directly, unless nobody waits for it any more."""
        registration = whole(connection, registration_id, lock=True)
        if registration.state is State.CANCELLED or registration.confirmation.key != notice.key:
            # What waits behind it is not released: the try that was cut off here may still go on in the email service.
            _changed(connection, registration, notice, TAKEN_BACK, now)
            return
        queued = replace(notice, mode=Mode.QUEUED, update_time=now)
        changed = registration.showing(queued)
        update_notice(connection, registration_id, queued)
        update(connection, changed)
        OUTBOX.add(connection, [self._entry_of(changed, queued)], now)


def _subject(connection: sa.Connection, news: News) -> tuple[Registration, Notice]:
    if not news.key:
        registration = whole(connection, news.registration_id, lock=True)
        return registration, registration.confirmation
    found = connection.execute(sa.select(NOTICES).where(NOTICES.c.key == news.key)).mappings().one_or_none()
    if found is None:
        raise RegistrationNotFound(news.registration_id)
    return whole(connection, found["registration_id"], lock=True), row.notice(found)


def _note(
    connection: sa.Connection, registration: Registration, notice: Notice, outcome: Outcome, now: int
) -> Registration:
    noted = _changed(connection, registration, notice, outcome, now)
    if noted.notice is not notice and noted.notice.state is not PENDING:
        OUTBOX.release(connection, registration.registration_id, now)
    return noted.registration


def _changed(
    connection: sa.Connection, registration: Registration, notice: Notice, outcome: Outcome, now: int
) -> saga.Noted:
    noted = saga.noted(registration, notice, outcome, now)
    if noted.notice is not notice:
        update_notice(connection, registration.registration_id, noted.notice)
    if noted.registration is not registration:
        update(connection, noted.registration)
    return noted


def _handed_over(
    connection: sa.Connection, registration: Registration, notice: Notice, message_id: str, now: int
) -> Registration:
    known = replace(notice, message_id=message_id, update_time=now)
    update_notice(connection, registration.registration_id, known)
    shown = registration.showing(known)
    if shown is not registration:
        update(connection, shown)
    return shown
