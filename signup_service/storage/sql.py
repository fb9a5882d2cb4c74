"""Registrations in SQL: the statements run on SQLite and PostgreSQL alike."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy import exc

from mesh.database import translated
from mesh.outbox_entry import HandedOver
from signup_service import saga
from signup_service.errors import RegistrationExists, RegistrationNotFound, RequestIdReused
from signup_service.outcome import News
from signup_service.registration import Cause, Mode, NoticeState, Registration
from signup_service.request import Request
from signup_service.storage import row
from signup_service.storage.base import EntryOf, Unconfirmed
from signup_service.storage.schema import NOTICES, OUTBOX, REGISTRATIONS, REQUESTS
from signup_service.storage.sql_emails import Emails
from signup_service.storage.sql_whole import insert_notice, update, whole

_COLUMNS = REGISTRATIONS.c


class SqlRegistrationStore:
    """A `RegistrationStore` on the tables of `schema`.

    Args:
        engine: the database.
        entry_of: writes what goes to the outbox.
    """

    def __init__(self, engine: sa.Engine, entry_of: EntryOf) -> None:
        self._engine, self._entry_of, self._emails = engine, entry_of, Emails(entry_of)

    def register(self, registration: Registration, request: Request | None) -> Registration:
        """Store a registration, or find the one that the same request made before."""
        with translated():
            try:
                with self._engine.begin() as connection:
                    return self._register(connection, registration, request)
            except exc.IntegrityError:
                # Another process took the address or the request id between our look and our insert: look again.
                with self._engine.begin() as connection:
                    return self._register(connection, registration, request)

    def find(self, registration_id: str) -> Registration:
        """The registration as it stands."""
        with self._transaction() as connection:
            return whole(connection, registration_id)

    def page(self, after: str, limit: int, state: NoticeState | None) -> Sequence[Registration]:
        """The oldest registrations behind an id."""
        query = row.WHOLE.where(_COLUMNS.registration_id > after)
        if state is not None:
            query = query.where(_COLUMNS.confirmation_state == state.name)
        with self._transaction() as connection:
            rows = connection.execute(query.order_by(_COLUMNS.registration_id).limit(limit))
            return [row.registration(found) for found in rows.mappings()]

    def newest_id(self) -> str:
        """The greatest registration id."""
        with self._transaction() as connection:
            return connection.execute(sa.select(sa.func.max(_COLUMNS.registration_id))).scalar_one() or ""

    def note_outcomes(self, news: Sequence[News], now: int) -> Sequence[Registration | RegistrationNotFound]:
        """Let news change what is known of emails."""
        with self._transaction() as connection:
            return [self._emails.note(connection, each, now) for each in news]

    def note_handed_over(self, results: Mapping[str, HandedOver], now: int) -> Sequence[Registration]:
        """Note what became of outbox entries, and drop them."""
        with self._transaction() as connection:
            changed = self._emails.note_handed_over(connection, results, now)
            OUTBOX.remove(connection, results)
            return changed

    def resend(self, registration_id: str, request: Request | None, trace_id: str, now: int) -> Registration:
        """Put a new confirmation into the outbox."""
        with self._transaction() as connection:
            if request is not None and (earlier := _repeated(connection, request)) is not None:
                return earlier
            found = whole(connection, registration_id, lock=True)
            changed = saga.resent(found, _confirmations(connection, registration_id) + 1, trace_id, now)
            held = self._emails.withdraw(connection, found, now)
            update(connection, changed)
            insert_notice(connection, registration_id, changed.confirmation)
            OUTBOX.add(connection, [self._entry_of(changed, changed.confirmation)], now, not_before=held)
            _remember(connection, request, registration_id)
            return changed

    def cancel(self, registration_id: str, cause: Cause, reason: str, now: int) -> Registration:
        """Take the place back."""
        with self._transaction() as connection:
            found = whole(connection, registration_id, lock=True)
            changed = saga.cancelled(found, cause, reason, now)
            if changed is found or changed.cancellation is None:
                return found
            held = self._emails.withdraw(connection, found, now)
            update(connection, changed)
            insert_notice(connection, registration_id, changed.cancellation.notice)
            OUTBOX.add(connection, [self._entry_of(changed, changed.cancellation.notice)], now, not_before=held)
            return changed

    def unconfirmed(self, limit: int) -> Sequence[Unconfirmed]:
        """Those that have waited longest."""
        since = _COLUMNS.unconfirmed_since
        query = sa.select(_COLUMNS.registration_id, since).where(since.is_not(None)).order_by(since).limit(limit)
        with self._transaction() as connection:
            return [Unconfirmed(found.registration_id, found.unconfirmed_since) for found in connection.execute(query)]

    def take_over(self, now: int) -> int:
        """Put into the outbox what an earlier run was to send directly."""
        pending = sa.and_(NOTICES.c.state == NoticeState.PENDING.name, NOTICES.c.mode != Mode.QUEUED.name)
        query = sa.select(NOTICES).where(pending).order_by(NOTICES.c.registration_id, NOTICES.c.create_time)
        with self._transaction() as connection:
            interrupted = connection.execute(query).mappings().all()
            for found in interrupted:
                self._emails.take_over(connection, found["registration_id"], row.notice(found), now)
            return len(interrupted)

    def _register(self, connection: sa.Connection, registration: Registration, request: Request | None) -> Registration:
        if request is not None and (earlier := _repeated(connection, request)) is not None:
            return earlier
        if _address_taken(connection, registration):
            raise RegistrationExists(registration.runner.email)
        connection.execute(sa.insert(REGISTRATIONS).values(row.registration_values(registration)))
        insert_notice(connection, registration.registration_id, registration.confirmation)
        _remember(connection, request, registration.registration_id)
        if registration.confirmation.mode is Mode.QUEUED:
            entry = self._entry_of(registration, registration.confirmation)
            OUTBOX.add(connection, [entry], registration.create_time)
        return registration

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        with translated(), self._engine.begin() as connection:
            yield connection


def _repeated(connection: sa.Connection, request: Request) -> Registration | None:
    query = sa.select(REQUESTS).where(REQUESTS.c.request_id == request.request_id)
    known = connection.execute(query).one_or_none()
    if known is None:
        return None
    if known.digest != request.digest:
        raise RequestIdReused(request.request_id)
    return whole(connection, known.registration_id)


def _remember(connection: sa.Connection, request: Request | None, registration_id: str) -> None:
    if request is not None:
        named = {"request_id": request.request_id, "digest": request.digest, "registration_id": registration_id}
        connection.execute(sa.insert(REQUESTS).values(named))


def _address_taken(connection: sa.Connection, registration: Registration) -> bool:
    query = sa.select(_COLUMNS.registration_id).where(_COLUMNS.live_email_key == registration.runner.email_key)
    return connection.execute(query).first() is not None


def _confirmations(connection: sa.Connection, registration_id: str) -> int:
    """How many confirmations there were; those of a cancelled registration are not counted, it gets no more."""
    query = sa.select(sa.func.count()).where(NOTICES.c.registration_id == registration_id)
    count: int = connection.execute(query).scalar_one()
    return count
