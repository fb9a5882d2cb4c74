"""Registrations in SQL: the statements run on SQLite and PostgreSQL alike."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy import exc

from mesh.database import translated
from mesh.outbox import OutboxEntry
from signup_service.errors import RegistrationExists, RegistrationNotFound, RequestIdReused
from signup_service.outcome import Outcome, after
from signup_service.registration import ConfirmationState, Mode, Registration
from signup_service.request import Request
from signup_service.storage import row
from signup_service.storage.base import EntryOf
from signup_service.storage.schema import OUTBOX, REGISTRATIONS, REQUESTS

_COLUMNS = REGISTRATIONS.c


class SqlRegistrationStore:
    """A `RegistrationStore` on the tables of `schema`."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def register(self, registration: Registration, request: Request | None, entry: OutboxEntry | None) -> Registration:
        """Store a registration with its outbox entry, or find the one that the same request made before."""
        with translated():
            try:
                with self._engine.begin() as connection:
                    return _register(connection, registration, request, entry)
            except exc.IntegrityError:
                # Another process took the address or the request id between our look and our insert: look again.
                with self._engine.begin() as connection:
                    return _register(connection, registration, request, entry)

    def find(self, registration_id: str) -> Registration:
        """The registration as it stands."""
        with self._transaction() as connection:
            return _find(connection, registration_id)

    def page(self, after: str, limit: int, state: ConfirmationState | None) -> Sequence[Registration]:
        """The oldest registrations behind an id."""
        query = sa.select(REGISTRATIONS).where(_COLUMNS.registration_id > after)
        if state is not None:
            query = query.where(_COLUMNS.confirmation_state == state.name)
        with self._transaction() as connection:
            rows = connection.execute(query.order_by(_COLUMNS.registration_id).limit(limit))
            return [row.registration(found) for found in rows]

    def note_outcome(self, registration_id: str, outcome: Outcome, now: int) -> Registration:
        """Let news of the email change the confirmation."""
        with self._transaction() as connection:
            found = _find(connection, registration_id, lock=True)
            confirmation = after(found.confirmation, outcome, now)
            if confirmation is found.confirmation:
                return found
            return _update(connection, replace(found, confirmation=confirmation, update_time=now))

    def queue_interrupted(self, entry_of: EntryOf, now: int) -> int:
        """Put every pending confirmation that was to be sent directly into the outbox."""
        query = sa.select(REGISTRATIONS).where(
            _COLUMNS.confirmation_state == ConfirmationState.PENDING.name,
            _COLUMNS.confirmation_mode != Mode.QUEUED.name,
        )
        with self._transaction() as connection:
            rows = connection.execute(query.order_by(_COLUMNS.registration_id).with_for_update()).all()
            for found in map(row.registration, rows):
                confirmation = replace(found.confirmation, mode=Mode.QUEUED, update_time=now)
                queued = _update(connection, replace(found, confirmation=confirmation, update_time=now))
                OUTBOX.add(connection, [entry_of(queued)], now)
            return len(rows)

    def pending(self, now: int, limit: int) -> Sequence[OutboxEntry]:
        """The oldest outbox entries that may be sent by ``now``."""
        with self._transaction() as connection:
            return OUTBOX.pending(connection, now, limit)

    def next_pending_at(self) -> int | None:
        """The instant at which the next outbox entry may be sent."""
        with self._transaction() as connection:
            return OUTBOX.next_pending_at(connection)

    def mark_sent(self, message_ids: Mapping[str, str], now: int) -> None:
        """Note the message ids that the broker gave, and drop the entries."""
        statement = (
            sa.update(REGISTRATIONS)
            .where(_COLUMNS.confirmation_key == sa.bindparam("entry"))
            .values(message_id=sa.bindparam("message"), confirmation_time=now, update_time=now)
        )
        with self._transaction() as connection:
            rows = [{"entry": entry, "message": message} for entry, message in message_ids.items()]
            connection.execute(statement, rows)
            OUTBOX.remove_sent(connection, message_ids)

    def postpone(self, entry_id: str, until: int, error: str) -> None:
        """Try an outbox entry again no earlier than ``until``."""
        with self._transaction() as connection:
            OUTBOX.postpone(connection, entry_id, until, error)

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        with translated(), self._engine.begin() as connection:
            yield connection


def _register(
    connection: sa.Connection, registration: Registration, request: Request | None, entry: OutboxEntry | None
) -> Registration:
    if request is not None and (earlier := _repeated(connection, request)) is not None:
        return earlier
    if _address_taken(connection, registration):
        raise RegistrationExists(registration.runner.email)
    connection.execute(sa.insert(REGISTRATIONS).values(row.values(registration)))
    if request is not None:
        named = {"registration_id": registration.registration_id}
        connection.execute(sa.insert(REQUESTS).values(request_id=request.request_id, digest=request.digest, **named))
    if entry is not None:
        OUTBOX.add(connection, [entry], registration.create_time)
    return registration


def _repeated(connection: sa.Connection, request: Request) -> Registration | None:
    query = sa.select(REQUESTS).where(REQUESTS.c.request_id == request.request_id)
    known = connection.execute(query).one_or_none()
    if known is None:
        return None
    if known.digest != request.digest:
        raise RequestIdReused(request.request_id)
    return _find(connection, known.registration_id)


def _address_taken(connection: sa.Connection, registration: Registration) -> bool:
    query = sa.select(_COLUMNS.registration_id).where(_COLUMNS.live_email_key == registration.runner.email_key)
    return connection.execute(query).first() is not None


def _find(connection: sa.Connection, registration_id: str, *, lock: bool = False) -> Registration:
    query = sa.select(REGISTRATIONS).where(_COLUMNS.registration_id == registration_id)
    found = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if found is None:
        raise RegistrationNotFound(registration_id)
    return row.registration(found)


def _update(connection: sa.Connection, registration: Registration) -> Registration:
    where = _COLUMNS.registration_id == registration.registration_id
    connection.execute(sa.update(REGISTRATIONS).where(where).values(row.values(registration)))
    return registration
