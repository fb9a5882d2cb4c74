"""The use case: one email for each idempotency key.

A key is claimed on disk, the letter is handed over, the outcome is stored as soon as the storage takes it. The caller
may leave in between; the send goes on without it, because a conversation that is broken off leaves nobody knowing
whether the email went out.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from email_service.backoff import backoff
from email_service.email_record import Draft, Email, State
from email_service.errors import EmailDelayed, EmailHeldBack, EmailRefused, IdempotencyKeyReused, SendInProgress
from email_service.failure import Failure, HeldBackError, TransportError
from email_service.letter import LetterWriter
from email_service.rendering import subject_line
from email_service.storage.base import EmailStore
from email_service.transport import Transport
from mesh.clock import Clock
from mesh.errors import BatonError
from mesh.identifier import Identifiers
from mesh.kept_back import until_stored
from mesh.outbox_entry import OutboxEntry
from mesh.store_thread import StoreThread
from mesh.telemetry import get_logger

log = get_logger(__name__)

#: Seconds that sends without a caller get when the service ends.
LAST_WAIT = 5.0

Reports = Callable[[Email, Mapping[str, str], int], Sequence[OutboxEntry]]


class Mailer:
    """Sends drafts, each key by one task at a time.

    Args:
        store: claims and outcomes.
        thread: where the store is called.
        writer: makes a letter of an email.
        transport: the way out.
        clock: for the times of emails.
        reports: what to tell whom about an outcome.
        wake: called when reports were stored.
    """

    def __init__(
        self,
        store: EmailStore,
        thread: StoreThread,
        writer: LetterWriter,
        transport: Transport,
        clock: Clock,
        *,
        reports: Reports,
        wake: Callable[[], None],
    ) -> None:
        self._store, self._thread, self._writer, self._transport = store, thread, writer, transport
        self._clock, self._identifiers = clock, Identifiers(clock)
        self._reports, self._wake = reports, wake
        self._under_way: dict[str, str] = {}
        self._tasks: set[asyncio.Task[Email]] = set()

    async def deliver(self, draft: Draft) -> Email:
        """Send a draft, unless it is sent already; the email, SENT.

        Raises:
            IdempotencyKeyReused: the key stands for other content.
            SendInProgress: it is being sent at this moment.
            EmailDelayed: this try failed, another one may succeed.
            EmailHeldBack: there was no try, its turn comes later.
            EmailRefused: the mail server refused it for good, now or earlier.
        """
        key = draft.idempotency_key
        digest = self._under_way.get(key)
        if digest is not None:
            raise SendInProgress if digest == draft.digest else IdempotencyKeyReused(key)
        self._under_way[key] = draft.digest
        task = asyncio.create_task(self._deliver(draft))
        self._tasks.add(task)
        task.add_done_callback(partial(self._forget, key))
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Let sends without a caller end, for a while; safe twice."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=LAST_WAIT)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _forget(self, key: str, task: asyncio.Task[Email]) -> None:
        del self._under_way[key]
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, BatonError):
            # No more than its type: the text of a foreign error may hold the recipient's address.
            log.error("a send broke off", action="email_send_broke_off", error=type(error).__name__)

    async def _deliver(self, draft: Draft) -> Email:
        subject, now = subject_line(draft.content), self._clock.now()
        email = await self._thread.run(self._store.claim, draft, self._identifiers(), subject, now)
        if email.state is State.SENDING:
            email = await self._try(email, draft.trace)
        if email.state is State.FAILED:
            raise EmailRefused(email.reason, email.last_error, email.email_id)
        return email

    async def _try(self, email: Email, trace: Mapping[str, str]) -> Email:
        try:
            await self._transport.send(self._writer.write(email))
        except HeldBackError as error:
            raise await self._held_back(email.held_back(), error) from error
        except TransportError as error:
            return await self._failed(email.failed(error.failure), error.failure, trace)
        return await self._conclude(email.sent(self._clock.now()), trace)

    async def _held_back(self, email: Email, error: HeldBackError) -> EmailHeldBack:
        await self._thread.run(self._store.note_failure, email)
        log.info("email held back", action="email_held_back", **_facts(email), seconds=error.delay.total_seconds())
        return EmailHeldBack(error.description, error.delay)

    async def _failed(self, email: Email, failure: Failure, trace: Mapping[str, str]) -> Email:
        if failure.permanent:
            return await self._conclude(email, trace)
        await self._thread.run(self._store.note_failure, email)
        delay = backoff(email.attempts)
        log.info(
            "email delayed", action="email_delayed", **_facts(email), reason=email.reason, seconds=delay.total_seconds()
        )
        raise EmailDelayed(failure.reason, failure.description, delay)

    async def _conclude(self, email: Email, trace: Mapping[str, str]) -> Email:
        now = self._clock.now()
        reports = self._reports(email, trace, now)
        # A repeat would send again what is not known to be sent; till then it is told that the email is under way.
        await until_stored(lambda: self._thread.run(self._store.conclude, email, reports, now), self._clock)
        self._wake()
        if email.state is State.SENT:
            log.info("email sent", action="email_sent", **_facts(email))
        else:
            log.error("email refused for good", action="email_failed", **_facts(email), reason=email.reason)
        return email


def _facts(email: Email) -> dict[str, str | int]:
    return {"email_id": email.email_id, "attempts": email.attempts}
