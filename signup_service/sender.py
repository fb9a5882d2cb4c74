"""Sends confirmations directly: once in SEQUENTIAL, and for as long as `DIRECT_LIMIT` in BACKGROUND.

A send is bound to no call: it goes on when its caller hangs up. One that is cut off by the end of the process leaves
its registration PENDING, and the next start hands it to the broker.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count

from mesh.clock import SECOND, Clock, microseconds, sleep_until
from mesh.errors import ResourceExhausted, Unavailable
from mesh.kept_back import until_stored
from mesh.task_set import TaskSet
from mesh.telemetry import get_logger
from signup_service.mailer import Answer, Mailer
from signup_service.outcome import FAILED, PENDING, WITHDRAWN, Outcome
from signup_service.registration import DIRECT_LIMIT, Mode, NoticeState, Registration
from signup_service.storage.threaded import ThreadedStore

log = get_logger(__name__)

#: Wait after a try that failed for the time being and was not told how long; doubles up to the longest.
FIRST_BACKOFF = timedelta(milliseconds=500)
LONGEST_BACKOFF = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class _Sending:
    task: asyncio.Task[Registration]
    unwanted: asyncio.Event


class Sender:
    """Sends confirmations and notes what becomes of them."""

    def __init__(self, mailer: Mailer, store: ThreadedStore, clock: Clock, tasks: TaskSet) -> None:
        self._mailer, self._store, self._clock, self._tasks = mailer, store, clock, tasks
        self._under_way: dict[str, _Sending] = {}

    def begin(self, registration: Registration) -> asyncio.Task[Registration]:
        """Start to send; the task's result is the registration with what became of it."""
        key, unwanted = registration.registration_id, asyncio.Event()
        task = self._tasks.begin(self._send(registration, unwanted))
        self._under_way[key] = _Sending(task, unwanted)
        task.add_done_callback(lambda _: self._under_way.pop(key))
        return task

    def under_way(self, registration_id: str) -> asyncio.Task[Registration] | None:
        """The send of a registration's confirmation that goes on at this moment."""
        sending = self._under_way.get(registration_id)
        return None if sending is None else sending.task

    def stop(self, registration_id: str) -> asyncio.Task[Registration] | None:
        """Let a send try no more; the task ends once the try under way, if there is one, is over."""
        sending = self._under_way.get(registration_id)
        if sending is None:
            return None
        sending.unwanted.set()
        return sending.task

    async def _send(self, registration: Registration, unwanted: asyncio.Event) -> Registration:
        try:
            return await self._until_decided(registration, unwanted)
        except Exception as error:  # nobody may be waiting for this task; the registration stands all the same
            log.error(
                "the outcome of a confirmation could not be noted; a report or the next start will settle it",
                action="confirmation_unsettled",
                registration_id=registration.registration_id,
                exc_info=error,
            )
            return registration

    async def _until_decided(self, registration: Registration, unwanted: asyncio.Event) -> Registration:
        limit = self._clock.now() + microseconds(DIRECT_LIMIT)
        patient = registration.confirmation.mode is Mode.BACKGROUND
        for attempt in count(1):
            answer = await self._mailer.send(registration, (limit - self._clock.now()) / SECOND)
            outcome = replace(answer.outcome, attempts=max(attempt, answer.outcome.attempts))
            again_at = self._clock.now() + _wait(answer, attempt)
            if outcome.state is not PENDING or not patient or again_at >= limit or unwanted.is_set():
                break
            with suppress(ResourceExhausted, Unavailable):  # the news after this says how often it was tried
                await self._store.note_outcome(registration, outcome)
            if await self._unwanted_by(again_at, unwanted):
                break
        return await self._settle(registration, outcome, WITHDRAWN if unwanted.is_set() else FAILED)

    async def _unwanted_by(self, when: int, unwanted: asyncio.Event) -> bool:
        waits = [asyncio.create_task(unwanted.wait()), asyncio.create_task(sleep_until(self._clock, when))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return unwanted.is_set()

    async def _settle(self, registration: Registration, outcome: Outcome, otherwise: NoticeState) -> Registration:
        final = replace(outcome, state=otherwise) if outcome.state is PENDING else outcome
        note = log.error if final.state is FAILED else log.info
        note(
            "a confirmation came to its end",
            action=f"confirmation_{final.state.name.lower()}",
            registration_id=registration.registration_id,
            attempts=final.attempts,
            code=final.error.partition(":")[0],  # the rest may quote the address
        )
        return await until_stored(lambda: self._store.note_outcome(registration, final), self._clock)


def _wait(answer: Answer, attempt: int) -> int:
    if answer.retry_delay is not None:
        return microseconds(answer.retry_delay)
    return min(microseconds(FIRST_BACKOFF) << (attempt - 1), microseconds(LONGEST_BACKOFF))
