"""Outbox entries to test with: as small as they can be."""

from mesh.outbox_entry import OutboxEntry
from signup_service.registration import Notice, Registration


def entry(of: Registration, notice: Notice | None = None) -> OutboxEntry:
    """An email of a registration as an entry, the newest confirmation unless told."""
    key = (notice or of.confirmation).key
    attributes = {"traceparent": "t"}
    return OutboxEntry(
        key, "registration-confirmations", "a.Type", key.encode(), attributes, order_key=of.registration_id
    )
