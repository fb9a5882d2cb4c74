"""The report of a final outcome, as the broker gets it."""

from collections.abc import Mapping

from baton.email.v1 import email_pb2
from email_service.email_record import Email
from mesh.outbox_entry import OutboxEntry
from mesh.wire_time import instant_to

_TYPE_NAME: str = email_pb2.EmailReport.DESCRIPTOR.full_name


def reports_of(email: Email, trace: Mapping[str, str], now: int) -> list[OutboxEntry]:
    """The reports of an outcome: one to the queue that the draft names, if it names one."""
    if not email.draft.report_queue:
        return []
    report = email_pb2.EmailReport(
        email_id=email.email_id,
        idempotency_key=email.draft.idempotency_key,
        correlation_id=email.draft.correlation_id,
        state=email_pb2.Email.State.Value(f"STATE_{email.state.value}"),
        error=f"{email.reason}: {email.last_error}" if email.sent_at is None else "",
        report_time=instant_to(now),
    )
    entry_id = f"{email.email_id}:{email.state.value}"
    return [OutboxEntry(entry_id, email.draft.report_queue, _TYPE_NAME, report.SerializeToString(), trace)]
