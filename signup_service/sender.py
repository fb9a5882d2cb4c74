"""Sends confirmations directly: once in SEQUENTIAL, and for as long as `LIMIT` in BACKGROUND.

A send is bound to no call: it goes on when its caller hangs up. One that is cut off by the end of the process leaves
its registration PENDING, and the next start hands it to the broker.
"""

import asyncio
from dataclasses import replace
from datetime import timedelta
from itertools import count

from mesh.clock import SECOND, Clock, microseconds, sleep_until
from mesh.task_set import TaskSet
from mesh.telemetry import get_logger
from signup_service.mailer import Answer, Mailer
from signup_service.outcome import FAILED, PENDING, Outcome
from signup_service.registration import Mode, Registration
from signup_service.storage.threaded import ThreadedStore

log = get_logger(__name__)

#: How long a confirmation may take, all tries together.
LIMIT = timedelta(seconds=30)
#: Wait after a try that failed for the time being and was not told how long; doubles up to the longest.
FIRST_BACKOFF = timedelta(milliseconds=500)
LONGEST_BACKOFF = timedelta(seconds=5)


class Sender:
    """Sends confirmations and notes what becomes of them."""

    def __init__(self, mailer: Mailer, store: ThreadedStore, clock: Clock, tasks: TaskSet) -> None:
        self._mailer, self._store, self._clock, self._tasks = mailer, store, clock, tasks
        self._under_way: dict[str, asyncio.Task[Registration]] = {}

    def begin(self, registration: Registration) -> asyncio.Task[Registration]:
        """Start to send; the task's result is the registration with what became of it."""
        key = registration.registration_id
        task = self._under_way[key] = self._tasks.begin(self._send(registration))
        task.add_done_callback(lambda _: self._under_way.pop(key))
        return task

    def under_way(self, registration_id: str) -> asyncio.Task[Registration] | None:
        """The send of a registration's confirmation that goes on at this moment."""
        return self._under_way.get(registration_id)

    async def _send(self, registration: Registration) -> Registration:
        try:
            return await self._until_decided(registration)
        except Exception as error:  # nobody may be waiting for this task; the registration stands all the same
            log.error(
                "the outcome of a confirmation could not be noted; a report or the next start will settle it",
                action="confirmation_unsettled",
                registration_id=registration.registration_id,
                exc_info=error,
            )
            return registration

    async def _until_decided(self, registration: Registration) -> Registration:
        limit = self._clock.now() + microseconds(LIMIT)
        patient = registration.confirmation.mode is Mode.BACKGROUND
        for attempt in count(1):
            answer = await self._mailer.send(registration, (limit - self._clock.now()) / SECOND)
            outcome = replace(answer.outcome, attempts=max(attempt, answer.outcome.attempts))
            again_at = self._clock.now() + _wait(answer, attempt)
            if outcome.state is not PENDING or not patient or again_at >= limit:
                break
            await self._store.note_outcome(registration.registration_id, outcome)
            await sleep_until(self._clock, again_at)
        return await self._settle(registration, outcome)

    async def _settle(self, registration: Registration, outcome: Outcome) -> Registration:
        given_up = outcome.state is PENDING
        final = replace(outcome, state=FAILED) if given_up else outcome
        note = log.error if final.state is FAILED else log.info
        note(
            "a confirmation came to its end",
            action=f"confirmation_{final.state.name.lower()}",
            registration_id=registration.registration_id,
            attempts=final.attempts,
            code=final.error.partition(":")[0],  # the rest may quote the address
        )
        return await self._store.note_outcome(registration.registration_id, final)


def _wait(answer: Answer, attempt: int) -> int:
    if answer.retry_delay is not None:
        return microseconds(answer.retry_delay)
    return min(microseconds(FIRST_BACKOFF) << (attempt - 1), microseconds(LONGEST_BACKOFF))
