"""Outcomes as they come back through the queues: reports of the email service, and emails the broker gave up."""

from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from baton.email.v1 import email_pb2, email_service_pb2
from baton.queue.v1 import message_pb2
from signup_service.errors import BodyInvalid
from signup_service.outcome import FAILED, SENT, News, Outcome

M = TypeVar("M", bound=Message)

_FINAL = {email_pb2.Email.STATE_SENT: SENT, email_pb2.Email.STATE_FAILED: FAILED}


def from_report(message: message_pb2.QueueMessage) -> News:
    """What an EmailReport says; raises BodyInvalid."""
    report = _body(message, email_pb2.EmailReport())
    state = _FINAL.get(report.state)
    if state is None:
        raise BodyInvalid(f"a report says SENT or FAILED, not {report.state}")
    outcome = Outcome(state, error=report.error, email_id=report.email_id)
    return News(report.correlation_id, report.idempotency_key, outcome)


def from_dead_letter(message: message_pb2.QueueMessage) -> News:
    """That the broker gave an email up, and why; raises BodyInvalid."""
    request = _body(message, email_service_pb2.SendEmailRequest())
    if not message.HasField("dead_letter"):
        raise BodyInvalid("the message is no dead letter")
    letter = message.dead_letter
    outcome = Outcome(FAILED, attempts=letter.attempts, error=_reason(letter))
    return News(request.email.correlation_id, request.email.idempotency_key, outcome)


def _body(message: message_pb2.QueueMessage, into: M) -> M:
    expected = into.DESCRIPTOR.full_name
    if not message.HasField("typed") or message.typed.type_name != expected:
        raise BodyInvalid(f"the body is no {expected}")
    try:
        into.ParseFromString(message.typed.value)
    except DecodeError as error:
        raise BodyInvalid(f"the body does not decode as {expected}") from error
    return into


def _reason(letter: message_pb2.DeadLetter) -> str:
    if not letter.failures:
        return message_pb2.DeadLetter.Reason.Name(letter.reason).removeprefix("REASON_")
    newest = letter.failures[0]
    return f"{newest.code}: {newest.description}" if newest.description else newest.code
