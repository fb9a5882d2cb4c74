"""Between the contract's messages and what the service works with."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from hashlib import sha256
from typing import Any

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from baton.email.v1 import email_pb2
from email_service.content import CONTENTS, Content
from email_service.email_record import Draft, Email
from email_service.letter import delivery_address
from email_service.web_address import web_address
from mesh.errors import InvalidArgument, Violation
from mesh.wire_time import instant_of, instant_to

# W3C Trace Context and Baggage: what a report carries on from the call or message that it answers.
_TRACE_KEYS = frozenset({"traceparent", "tracestate", "baggage"})
# A message has 4 KiB for all its attributes; a longer value is left out, so that no report is refused for its trace.
_LONGEST_TRACE = 1024


def draft_of(email: email_pb2.Email, trace: Mapping[str, str]) -> Draft:
    """The draft in a request whose fields are checked already.

    Raises:
        InvalidArgument: no mail can carry one of its addresses.
    """
    if violations := list(_addresses_no_mail_carries(email)):
        raise InvalidArgument(violations)
    return Draft(
        idempotency_key=email.idempotency_key,
        to=email.to,
        content=_content_of(email),
        digest=digest(email),
        report_queue=email.report_queue,
        correlation_id=email.correlation_id,
        trace=trace,
    )


def digest(email: email_pb2.Email) -> str:
    """Stands for everything a caller decides about an email, its key apart."""
    chosen = email_pb2.Email(to=email.to, report_queue=email.report_queue, correlation_id=email.correlation_id)
    if kind := email.WhichOneof("content"):
        getattr(chosen, kind).CopyFrom(getattr(email, kind))
    return sha256(chosen.SerializeToString(deterministic=True)).hexdigest()


def email_message(email: Email) -> email_pb2.Email:
    """An email for the wire."""
    draft = email.draft
    message = email_pb2.Email(
        email_id=email.email_id,
        idempotency_key=draft.idempotency_key,
        to=draft.to,
        subject=email.subject,
        report_queue=draft.report_queue,
        correlation_id=draft.correlation_id,
        state=email_pb2.Email.State.Value(f"STATE_{email.state.value}"),
        attempts=email.attempts,
        last_error=email.last_error,
        create_time=instant_to(email.created_at),
        send_time=None if email.sent_at is None else instant_to(email.sent_at),
    )
    _set_content(getattr(message, draft.content.kind), draft.content)
    return message


def trace_of(pairs: Iterable[tuple[str, str | bytes]]) -> dict[str, str]:
    """The trace context among a call's metadata or a message's attributes."""
    return {
        key: value
        for key, value in pairs
        if key in _TRACE_KEYS and isinstance(value, str) and len(value.encode()) <= _LONGEST_TRACE
    }


def _addresses_no_mail_carries(email: email_pb2.Email) -> Iterator[Violation]:
    try:
        delivery_address(email.to)
    except ValueError as error:
        yield Violation("email.to", str(error))
    if email.HasField("newsletter"):
        try:
            web_address(email.newsletter.unsubscribe_url)
        except ValueError as error:
            yield Violation("email.newsletter.unsubscribe_url", str(error))


def _content_of(email: email_pb2.Email) -> Content:
    kind = email.WhichOneof("content")
    assert kind is not None, "the field rules require a content"
    message = getattr(email, kind)
    content = CONTENTS[kind]
    return content(**{field.name: _value(message, field.name) for field in fields(content)})


def _value(message: Message, name: str) -> Any:
    value = getattr(message, name)
    if not isinstance(value, Timestamp):
        return value
    return instant_of(value) if message.HasField(name) else None


def _set_content(message: Message, content: Content) -> None:
    message.SetInParent()
    for field in fields(content):
        value = getattr(content, field.name)
        if isinstance(value, int):
            getattr(message, field.name).CopyFrom(instant_to(value))
        elif value is not None:
            setattr(message, field.name, value)
