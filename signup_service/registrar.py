"""The use-case: a runner registers, and is told in one of three ways."""

import asyncio
from collections.abc import Callable, Sequence

from mesh import deadline
from mesh.clock import Clock
from mesh.identifier import Identifiers
from mesh.task_set import TaskSet
from mesh.telemetry import get_logger
from signup_service.errors import Draining
from signup_service.registration import ConfirmationState, Mode, Registration, Runner, registered
from signup_service.request import register_request
from signup_service.sender import Sender
from signup_service.storage.base import EntryOf
from signup_service.storage.threaded import ThreadedStore

log = get_logger(__name__)

#: Kept back from the caller's deadline for the answer: a slow mail server must not cost the caller the good news.
ANSWER_SECONDS = 0.1

Sending = asyncio.Task[Registration] | None


class Registrar:
    """Registers runners.

    Args:
        store: where registrations are kept.
        sender: sends confirmations directly.
        entry_of: a confirmation as an outbox entry.
        wake: tells the relay that the outbox has something new.
        clock: for the registration's times.
        identifiers: names registrations.
        tasks: where work lives that goes on without its caller.
    """

    def __init__(
        self,
        store: ThreadedStore,
        sender: Sender,
        entry_of: EntryOf,
        wake: Callable[[], None],
        *,
        clock: Clock,
        identifiers: Identifiers,
        tasks: TaskSet,
    ) -> None:
        self._store, self._sender, self._entry_of, self._wake = store, sender, entry_of, wake
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
        return await _decided(sending, stored)

    async def find(self, registration_id: str) -> Registration:
        """The registration as it stands; raises RegistrationNotFound."""
        return await self._store.find(registration_id)

    async def page(self, after: str, limit: int, state: ConfirmationState | None) -> Sequence[Registration]:
        """The oldest registrations behind an id, all or those whose confirmation is in ``state``."""
        return await self._store.page(after, limit, state)

    async def drain(self, seconds: float) -> None:
        """Take no new registrations, and wait for the confirmations under way."""
        self._draining = True
        left = await self._tasks.finish(seconds)
        if left:
            log.warning(
                "confirmations are still under way; the next start hands them to the broker",
                action="confirmations_interrupted",
                count=left,
            )

    async def _store_and_send(self, new: Registration, request_id: str) -> tuple[Registration, Sending]:
        mode = new.confirmation.mode
        entry = self._entry_of(new) if mode is Mode.QUEUED else None
        stored = await self._store.register(new, register_request(request_id, new.runner, mode), entry)
        if stored.registration_id != new.registration_id:
            return stored, self._sender.under_way(stored.registration_id)
        log.info(
            "runner registered", action="registered", registration_id=stored.registration_id, mode=mode.name.lower()
        )
        if mode is not Mode.QUEUED:
            return stored, self._sender.begin(stored)
        self._wake()
        return stored, None


async def _decided(sending: asyncio.Task[Registration], stored: Registration) -> Registration:
    left = deadline.remaining()
    done, _ = await asyncio.wait({sending}, timeout=None if left is None else max(0.0, left - ANSWER_SECONDS))
    return sending.result() if done and not sending.cancelled() else stored
