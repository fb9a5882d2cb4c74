"""The use-cases: a runner registers and is told in one of three ways, is told again, and may give the place back."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from datetime import timedelta

from mesh import deadline
from mesh.clock import Clock
from mesh.identifier import Identifiers
from mesh.task_set import TaskSet
from mesh.telemetry import get_logger
from signup_service.changes import Changes
from signup_service.errors import Draining
from signup_service.outcome import PENDING, TAKEN_BACK
from signup_service.registration import Cause, Mode, NoticeState, Registration, Runner, registered
from signup_service.request import register_request, resend_request
from signup_service.sender import Sender
from signup_service.storage.threaded import ThreadedStore

log = get_logger(__name__)

#: Kept back from the caller's deadline for the answer: a slow mail server must not cost the caller the good news.
ANSWER_SECONDS = 0.1
#: How long the answer to a cancellation waits for a try that is under way, so that it can say what became of it.
LAST_TRY = timedelta(seconds=5)

Sending = asyncio.Task[Registration] | None


class Registrar:
    """Registers runners, and looks after what was registered.

    Args:
        store: where registrations are kept.
        sender: sends confirmations directly.
        changes: what is stored, for those who watch.
        clock: for the registration's times.
        identifiers: names registrations.
        tasks: where work lives that goes on without its caller.
    """

    def __init__(
        self,
        store: ThreadedStore,
        sender: Sender,
        changes: Changes,
        *,
        clock: Clock,
        identifiers: Identifiers,
        tasks: TaskSet,
    ) -> None:
        self._store, self._sender, self._changes = store, sender, changes
        self._clock, self._identifiers, self._tasks = clock, identifiers, tasks
        self._draining = False

    async def register(self, runner: Runner, mode: Mode, trace_id: str, request_id: str) -> Registration:
        """Store a registration and send its confirmation as ``mode`` says; a repeated request does neither again.

        Raises:
            RegistrationExists: the email address has a live registration.
            RequestIdReused: the request id asked for something else before.
            Draining: the service is stopping.
        """
        if self._draining:
            raise Draining
        new = registered(self._identifiers(), runner, mode, trace_id, self._clock.now())
        # Shielded: a caller who hangs up between the commit and what follows it must not strand the confirmation.
        stored, sending = await asyncio.shield(self._tasks.begin(self._store_and_send(new, request_id)))
        if mode is not Mode.SEQUENTIAL or sending is None:
            return stored
        left = deadline.remaining()
        return await _decided(sending, stored, None if left is None else left - ANSWER_SECONDS)

    async def find(self, registration_id: str) -> Registration:
        """The registration as it stands; raises RegistrationNotFound."""
        return await self._store.find(registration_id)

    async def page(self, after: str, limit: int, state: NoticeState | None) -> Sequence[Registration]:
        """The oldest registrations behind an id, all or those whose confirmation is in ``state``."""
        return await self._store.page(after, limit, state)

    async def watch(self, registration_id: str) -> AsyncGenerator[Registration, None]:
        """The registration as it stands, then after each change, until nothing more is to be expected.

        Raises:
            RegistrationNotFound: no registration has that id.
            Draining: the service is stopping.
        """
        with self._changes.watching(registration_id) as watch:
            shown = await self._store.find(registration_id)
            watch.forget()
            yield shown
            while not shown.final:
                changed = await watch.next()
                if changed != shown:
                    shown = changed
                    yield shown

    async def resend(self, registration_id: str, trace_id: str, request_id: str) -> Registration:
        """Send the confirmation anew, through the broker; a repeated request does nothing.

        Raises:
            RegistrationNotFound: no registration has that id.
            RegistrationCancelled: there is nothing to confirm any more.
            RequestIdReused: the request id asked for something else before.
        """
        work = self._resend(registration_id, trace_id, request_id)
        return await asyncio.shield(self._tasks.begin(work))

    async def cancel(self, registration_id: str, cause: Cause, reason: str) -> Registration:
        """Take the place back and tell the runner; what is cancelled is answered as it is.

        Raises:
            RegistrationNotFound: no registration has that id.
        """
        cancelled, sending = await asyncio.shield(self._tasks.begin(self._cancel(registration_id, cause, reason)))
        if sending is None:
            return cancelled
        left = deadline.remaining()
        wait = LAST_TRY.total_seconds() if left is None else min(LAST_TRY.total_seconds(), left - ANSWER_SECONDS)
        await asyncio.wait({sending}, timeout=max(0.0, wait))
        return await self._store.find(registration_id)

    async def drain(self, seconds: float) -> None:
        """Take no new registrations, end every watch, and wait for the confirmations under way."""
        self._draining = True
        self._changes.end()
        left = await self._tasks.finish(seconds)
        if left:
            log.warning(
                "confirmations are still under way; the next start hands them to the broker",
                action="confirmations_interrupted",
                count=left,
            )

    async def _store_and_send(self, new: Registration, request_id: str) -> tuple[Registration, Sending]:
        mode = new.confirmation.mode
        stored = await self._store.register(new, register_request(request_id, new.runner, mode))
        if stored.registration_id != new.registration_id:
            return stored, self._sender.under_way(stored.registration_id)
        log.info(
            "runner registered", action="registered", registration_id=stored.registration_id, mode=mode.name.lower()
        )
        return stored, None if mode is Mode.QUEUED else self._sender.begin(stored)

    async def _resend(self, registration_id: str, trace_id: str, request_id: str) -> Registration:
        request = resend_request(request_id, registration_id)
        resent = await self._store.resend(registration_id, request, trace_id)
        self._sender.stop(registration_id)
        log.info("confirmation sent anew", action="confirmation_resent", registration_id=registration_id)
        return resent

    async def _cancel(self, registration_id: str, cause: Cause, reason: str) -> tuple[Registration, Sending]:
        cancelled = await self._store.cancel(registration_id, cause, reason)
        sending = self._sender.stop(registration_id)
        if sending is None and _stranded(cancelled):
            cancelled = await self._store.note_outcome(cancelled, TAKEN_BACK)
        log.info(
            "registration cancelled",
            action="cancelled",
            registration_id=registration_id,
            cause=cause.name.lower(),
        )
        return cancelled, sending


def _stranded(registration: Registration) -> bool:
    """Whether a confirmation was to be sent directly and nobody does any more: its outcome could not be noted."""
    confirmation = registration.confirmation
    return confirmation.state is PENDING and confirmation.mode is not Mode.QUEUED


async def _decided(sending: asyncio.Task[Registration], stored: Registration, seconds: float | None) -> Registration:
    done, _ = await asyncio.wait({sending}, timeout=None if seconds is None else max(0.0, seconds))
    return sending.result() if done and not sending.cancelled() else stored
