"""The report of a final outcome, as the broker gets it, and the outbox in which it waits."""

from collections.abc import Mapping, Sequence

from baton.email.v1 import email_pb2
from email_service.email_record import Email
from email_service.storage.base import EmailStore
from mesh.outbox import OutboxEntry
from mesh.store_thread import StoreThread
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
        error=email.last_error if email.sent_at is None else "",
        report_time=instant_to(now),
    )
    entry_id = f"{email.email_id}:{email.state.value}"
    return [OutboxEntry(entry_id, email.draft.report_queue, _TYPE_NAME, report.SerializeToString(), trace)]


class ReportOutbox:
    """The store's reports as `mesh.outbox.OutboxRelay` wants them."""

    def __init__(self, store: EmailStore, thread: StoreThread) -> None:
        self._store, self._thread = store, thread

    async def pending(self, now: int, limit: int) -> Sequence[OutboxEntry]:
        """The oldest reports that may be sent by ``now``."""
        return await self._thread.run(self._store.pending_reports, now, limit)

    async def next_pending_at(self) -> int | None:
        """When the next report may be sent."""
        return await self._thread.run(self._store.next_report_at)

    async def mark_sent(self, message_ids: Mapping[str, str]) -> None:
        """Forget what the broker has."""
        await self._thread.run(self._store.remove_reports, message_ids)

    async def postpone(self, entry_id: str, until: int, error: str) -> None:
        """Keep a report back until an instant."""
        await self._thread.run(self._store.postpone_report, entry_id, until, error)
