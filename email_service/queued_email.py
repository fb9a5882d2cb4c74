"""An email as a queue delivers it, and what becomes of its message."""

import uuid
from datetime import timedelta

from google.protobuf.message import DecodeError

from baton.email.v1 import email_service_pb2
from baton.queue.v1 import message_pb2 as pb
from email_service.codec import draft_of, trace_of
from email_service.email_record import Draft
from email_service.errors import BodyInvalid, EmailHeldBack, SendInProgress
from mesh.errors import BatonError, InvalidArgument, Violation
from mesh.field_rules import FieldRules
from mesh.telemetry import get_logger

log = get_logger(__name__)

TYPE_NAME: str = email_service_pb2.SendEmailRequest.DESCRIPTOR.full_name

# Another delivery of the message cannot change these.
_FINAL = frozenset({"INVALID_ARGUMENT", "ALREADY_EXISTS", "FAILED_PRECONDITION"})
# The contract's cuts, in bytes.
_CODE_BYTES, _DESCRIPTION_BYTES = 64, 2048
# Violations that fit a description; the sender sees the first ones, and mends them before the next.
_VIOLATIONS = 5


def draft_in(message: pb.QueueMessage, rules: FieldRules) -> Draft:
    """The draft in the body of a message.

    Raises:
        BodyInvalid: the body is no SendEmailRequest.
        InvalidArgument: it is one that breaks field rules.
    """
    raw = _body(message)
    try:
        request = email_service_pb2.SendEmailRequest.FromString(raw)
    except DecodeError as error:
        raise BodyInvalid(f"the body is {len(raw)} bytes that are no {TYPE_NAME}") from error
    if violations := rules.check(request, len(raw)):
        raise InvalidArgument(violations)
    return draft_of(request.email, trace_of(message.attributes.items()))


def ack(lease_id: str) -> pb.Settlement:
    """The email is sent."""
    return pb.Settlement(lease_id=lease_id, ack=pb.Ack())


def release(lease_id: str, delay: timedelta | None = None) -> pb.Settlement:
    """The email was not tried; it may be after a while."""
    settlement = pb.Settlement(lease_id=lease_id, release=pb.Release())
    if delay is not None:
        settlement.release.delay.FromTimedelta(delay)
    return settlement


def refusal(lease_id: str, error: Exception) -> pb.Settlement:
    """What a failed delivery means for the message: no further attempt, or one later."""
    if isinstance(error, EmailHeldBack | SendInProgress):  # not tried by this delivery, so no failure of the message
        return release(lease_id, error.retry_delay)
    if not isinstance(error, BatonError):
        return _unforeseen(lease_id, error)
    code, description = _cut(error.reason, _CODE_BYTES), _cut(_description(error), _DESCRIPTION_BYTES)
    if error.code in _FINAL:
        return pb.Settlement(lease_id=lease_id, reject=pb.Reject(code=code, description=description))
    retry = pb.Retry(code=code, description=description)
    delay: timedelta | None = getattr(error, "retry_delay", None)
    if delay is not None:
        retry.delay.FromTimedelta(delay)
    return pb.Settlement(lease_id=lease_id, retry=retry)


def _body(message: pb.QueueMessage) -> bytes:
    kind = message.WhichOneof("body")
    if kind == "data":
        return message.data
    if kind == "typed" and message.typed.type_name == TYPE_NAME:
        return message.typed.value
    found = message.typed.type_name if kind == "typed" else f"{kind or 'no'} body"
    raise BodyInvalid(f"the message must be a {TYPE_NAME}, is {found}")


def _description(error: BatonError) -> str:
    if not isinstance(error, InvalidArgument):
        return error.message
    return "; ".join(map(_sentence, error.violations[:_VIOLATIONS]))


def _sentence(violation: Violation) -> str:
    return f"{violation.field}: {violation.description}"


def _unforeseen(lease_id: str, error: Exception) -> pb.Settlement:
    error_id = uuid.uuid4().hex
    log.error("an email failed in a way nobody foresaw", action="email_broke", error_id=error_id, exc_info=error)
    description = f"internal error {error_id}; the service's log says more"
    return pb.Settlement(lease_id=lease_id, retry=pb.Retry(code="INTERNAL", description=description))


def _cut(text: str, limit: int) -> str:
    return text.encode()[:limit].decode(errors="ignore")
