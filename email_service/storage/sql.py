"""The store in SQL."""

import json
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from typing import Any

import sqlalchemy as sa

from email_service.content import CONTENTS, Content
from email_service.email_record import Draft, Email, State
from email_service.errors import IdempotencyKeyReused
from email_service.storage.base import Page
from email_service.storage.schema import emails, outbox
from mesh.database import Database, translated
from mesh.outbox_entry import OutboxEntry

# On the wire an email is smaller than its content as JSON and this much for its other fields, whatever they hold.
_OTHER_FIELDS = 4096
# Rows read at a time; a page of large emails ends long before the most rows it may have.
_READ_AHEAD = 20


class SqlEmailStore:
    """The store in a database with the schema of `schema`; it closes the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @translated()
    def claim(self, draft: Draft, email_id: str, subject: str, now: int) -> Email:
        """See `EmailStore.claim`."""
        with self._transaction() as connection:
            found = _one(connection, emails.c.idempotency_key == draft.idempotency_key)
            if found is None:
                email = Email(email_id, draft, subject, now)
                connection.execute(sa.insert(emails).values(_row(email)))
                return email
            if found.draft.digest != draft.digest:
                raise IdempotencyKeyReused(draft.idempotency_key)
            if found.state is not State.SENDING:
                return found
            # SENDING, and no try of this process is under way: an earlier one failed, or its process died in the
            # middle and nobody knows whether the server has the email. It is sent again, under the same Message-ID:
            # at least once, and the receiver can see the repeat. To send nothing would lose emails instead.
            claimed = replace(found, attempts=found.attempts + 1)
            _update(connection, claimed)
            return claimed

    @translated()
    def conclude(self, email: Email, reports: Sequence[OutboxEntry], now: int) -> None:
        """See `EmailStore.conclude`."""
        with self._transaction() as connection:
            _update(connection, email)
            if reports:
                outbox.add(connection, reports, now)

    @translated()
    def note_failure(self, email: Email) -> None:
        """See `EmailStore.note_failure`."""
        with self._transaction() as connection:
            _update(connection, email)

    @translated()
    def find(self, email_id: str) -> Email | None:
        """See `EmailStore.find`."""
        with self._transaction() as connection:
            return _one(connection, emails.c.email_id == email_id)

    @translated()
    def page(self, position: str, limit: int, max_bytes: int, to: str) -> Page:
        """See `EmailStore.page`; ids sort by time, so the position is the last id of the page before."""
        query = sa.select(emails).order_by(emails.c.email_id.desc()).limit(limit + 1)
        if position:
            query = query.where(emails.c.email_id < position)
        if to:
            query = query.where(emails.c.recipient_folded == to.casefold())
        options = {"yield_per": _READ_AHEAD}
        with self._transaction() as connection, connection.execute(query, execution_options=options) as rows:
            return _cut(rows, limit, max_bytes)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def _transaction(self) -> AbstractContextManager[sa.Connection]:
        return self._database.engine.begin()


def _one(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> Email | None:
    row = connection.execute(sa.select(emails).where(condition)).one_or_none()
    return None if row is None else _email(row)


def _update(connection: sa.Connection, email: Email) -> None:
    connection.execute(sa.update(emails).where(emails.c.email_id == email.email_id).values(_outcome(email)))


def _cut(rows: Iterable[sa.Row[Any]], limit: int, max_bytes: int) -> Page:
    found: list[Email] = []
    room = max_bytes
    for row in rows:
        room -= len(row.content) + _OTHER_FIELDS
        if found and (room < 0 or len(found) == limit):
            return Page(found, found[-1].email_id)
        found.append(_email(row))
    return Page(found)


def _row(email: Email) -> dict[str, Any]:
    draft = email.draft
    return {
        "email_id": email.email_id,
        "idempotency_key": draft.idempotency_key,
        "digest": draft.digest,
        "recipient": draft.to,
        "recipient_folded": draft.to.casefold(),
        "subject": email.subject,
        "content": json.dumps({"kind": draft.content.kind, **asdict(draft.content)}),
        "report_queue": draft.report_queue,
        "correlation_id": draft.correlation_id,
        "created_at": email.created_at,
        **_outcome(email),
    }


def _outcome(email: Email) -> dict[str, Any]:
    return {
        "state": email.state.value,
        "attempts": email.attempts,
        "reason": email.reason,
        "last_error": email.last_error,
        "sent_at": email.sent_at,
    }


def _email(row: sa.Row[Any]) -> Email:
    return Email(
        email_id=row.email_id,
        draft=_draft(row),
        subject=row.subject,
        created_at=row.created_at,
        state=State(row.state),
        attempts=row.attempts,
        reason=row.reason,
        last_error=row.last_error,
        sent_at=row.sent_at,
    )


def _draft(row: sa.Row[Any]) -> Draft:
    return Draft(
        idempotency_key=row.idempotency_key,
        to=row.recipient,
        content=_content(json.loads(row.content)),
        digest=row.digest,
        report_queue=row.report_queue,
        correlation_id=row.correlation_id,
    )


def _content(fields: dict[str, Any]) -> Content:
    return CONTENTS[fields.pop("kind")](**fields)
