"""Whole registrations: read with the emails they show, and written back."""

import sqlalchemy as sa

from signup_service.errors import RegistrationNotFound
from signup_service.registration import Notice, Registration
from signup_service.storage import row
from signup_service.storage.schema import NOTICES, REGISTRATIONS


def whole(connection: sa.Connection, registration_id: str, *, lock: bool = False) -> Registration:
    """The registration as it stands, nobody else's to change for the rest of the transaction when it is locked.

    Raises:
        RegistrationNotFound: no registration has that id.
    """
    query = row.WHOLE.where(REGISTRATIONS.c.registration_id == registration_id)
    if lock:
        query = query.with_for_update(of=REGISTRATIONS)
    found = connection.execute(query).mappings().one_or_none()
    if found is None:
        raise RegistrationNotFound(registration_id)
    return row.registration(found)


def update(connection: sa.Connection, registration: Registration) -> None:
    """Write a registration's own row."""
    where = REGISTRATIONS.c.registration_id == registration.registration_id
    connection.execute(sa.update(REGISTRATIONS).where(where).values(row.registration_values(registration)))


def insert_notice(connection: sa.Connection, registration_id: str, notice: Notice) -> None:
    """Add an email to a registration."""
    connection.execute(sa.insert(NOTICES).values(row.notice_values(registration_id, notice)))


def update_notice(connection: sa.Connection, registration_id: str, notice: Notice) -> None:
    """Write one of a registration's emails."""
    values = row.notice_values(registration_id, notice)
    connection.execute(sa.update(NOTICES).where(NOTICES.c.key == notice.key).values(values))
