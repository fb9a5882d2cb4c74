"""The loop behind redrive tasks: step after step, no faster than asked, and after a restart from where it stood."""

import asyncio
from dataclasses import replace

from mesh.clock import SECOND, Clock, sleep
from mesh.errors import BatonError, InvalidArgument, NotFound, Violation
from mesh.identifier import Identifiers
from mesh.task_set import TaskSet, begin_loop
from mesh.telemetry import get_logger
from queue_service.broker import Broker
from queue_service.catalog import Spread
from queue_service.errors import RedriveTaskExists, RedriveTaskNotFound, RedriveUnderWay
from queue_service.nodes.duties import Duties
from queue_service.queue_definition import DAY, Queue
from queue_service.redrive import RedriveState, RedriveTask
from queue_service.storage.selection import redrive_filter
from queue_service.storage.verbs import Redrive, Redriven
from queue_service.writer import Definitions, Writer

log = get_logger(__name__)

#: Messages moved in one step: few enough that the sends and pulls beside it hardly notice.
STEP = 100
#: Wait after the storage failed.
STORAGE_WAIT = SECOND


class Redriver:
    """The redrive tasks, at most one of them running for a queue.

    Args:
        broker: what moves in a queue wakes whoever waits there.
        writer: the way to the store.
        clock: the time.
        identifiers: name what its maker has not named.
        duties: which of the tasks are this process's to run.
        spread: waits until whoever else uses the store knows of a task, or of its end.
    """

    def __init__(
        self,
        broker: Broker,
        writer: Writer,
        clock: Clock,
        identifiers: Identifiers,
        duties: Duties | None = None,
        spread: Spread | None = None,
    ) -> None:
        self._spread_version = spread
        self._broker, self._writer, self._clock, self._identifiers = broker, writer, clock, identifiers
        self._duties = duties or Duties()
        self._tasks: dict[str, RedriveTask] = {}
        self._loops: dict[str, asyncio.Task[None]] = {}
        self._steps: dict[str, asyncio.Future[RedriveTask]] = {}
        self._outliving = TaskSet()
        self._cancelling = asyncio.Lock()
        broker.catalog.listen(self._queue_changed)

    def start(self) -> None:
        """Go on with what an earlier run left, and with what other nodes begin."""
        self._take_over(self._writer.definitions)
        self._writer.listen(self._take_over)

    async def stop(self) -> None:
        """Stop between two steps; the next start goes on."""
        await asyncio.gather(*(self._halt(key) for key in list(self._loops)))
        await self._outliving.cancel()

    async def create(self, wanted: RedriveTask, *, validate_only: bool = False) -> RedriveTask:
        """Begin a task, or only count what it would move.

        Raises:
            QueueNotFound, InvalidArgument, RedriveTaskExists, RedriveUnderWay
        """
        self._broker.catalog.get(wanted.queue)
        if wanted.destination:
            self._broker.catalog.get(wanted.destination)
        if wanted.destination == wanted.queue:
            said = f"must be another queue than the one that is emptied, is {wanted.destination!r}"
            raise InvalidArgument([Violation("redrive_task.destination", said)])
        task = replace(
            wanted, redrive_task_id=wanted.redrive_task_id or self._identifiers(), create_time=self._clock.now()
        )
        self._refuse_rival(task)
        everything = replace(redrive_filter(task), sent_before=None)  # nothing there was sent after this instant
        count = await self._broker.backlog.purge(task.queue, everything, force=False)
        task = replace(task, total_count=min(count, task.left))
        if validate_only:
            return task
        self._refuse_rival(task)
        self._tasks[task.redrive_task_id] = task
        await asyncio.shield(self._outliving.begin(self._store(task)))
        return task

    def get(self, redrive_task_id: str) -> RedriveTask:
        """A task as it stands; raises RedriveTaskNotFound."""
        if redrive_task_id not in self._tasks:
            raise RedriveTaskNotFound(redrive_task_id)
        return self._tasks[redrive_task_id]

    async def seen(self, task: RedriveTask) -> RedriveTask:
        """A task as it stands, whichever node runs it."""
        if task.state is not RedriveState.RUNNING or not self._duties.elsewhere(_duty(task.redrive_task_id)):
            return task
        return (await self._writer.execute(Redrive(task, self._clock.now(), look=True), self._moved)).task

    def page(self, queue: str, after: str, size: int) -> tuple[list[RedriveTask], str]:
        """The tasks of a queue, of all where it is empty, by id, and the id to go on from; empty at the end."""
        tasks = [task for task in self._tasks.values() if not queue or task.queue == queue]
        beyond = sorted((t for t in tasks if t.redrive_task_id > after), key=lambda task: task.redrive_task_id)
        return beyond[:size], (beyond[size - 1].redrive_task_id if len(beyond) > size else "")

    async def cancel(self, redrive_task_id: str) -> RedriveTask:
        """Stop a task; one that has ended stays as it is. Raises RedriveTaskNotFound."""
        self.get(redrive_task_id)
        await asyncio.shield(self._outliving.begin(self._cancel(redrive_task_id)))
        return self.get(redrive_task_id)

    async def _cancel(self, key: str) -> None:
        """Halt a task and store that, or let it go on, though its caller may have gone meanwhile."""
        async with self._cancelling:
            await self._halt(key)
            task = self.get(key)
            if task.state is not RedriveState.RUNNING:
                return
            try:
                await self._step(replace(task, state=RedriveState.CANCELLED), 0)
                await self._spread()
            except Exception:  # of whatever kind: nothing may be halted and RUNNING
                self._begin(task)
                raise

    async def _store(self, task: RedriveTask) -> None:
        """Store a new task and begin it, though its caller may have gone meanwhile: the store has it then."""
        try:
            await self._writer.execute(Redrive(task, self._clock.now()))
        except Exception:
            del self._tasks[task.redrive_task_id]
            raise
        self._offer(task)
        await self._spread()

    async def _spread(self) -> None:
        if self._spread_version is not None:
            await self._spread_version(self._writer.version)

    def _take_over(self, found: Definitions) -> None:
        for key, task in found.redrive_tasks.items():
            known = self._tasks.get(key)
            if known is None:
                self._tasks[key] = task
                self._offer(task)
            elif known.state is RedriveState.RUNNING and task.state is not RedriveState.RUNNING:
                self._tasks[key] = task
                self._duties.drop(_duty(key))

    def _offer(self, task: RedriveTask) -> None:
        """Run a task, if it is to be run and here."""
        key = task.redrive_task_id
        if task.state is RedriveState.RUNNING:
            self._duties.take_on(_duty(key), lambda: self._begin(self._tasks[key]), lambda _: self._halt(key))

    def _refuse_rival(self, task: RedriveTask) -> None:
        if task.redrive_task_id in self._tasks:
            raise RedriveTaskExists(task.redrive_task_id)
        for other in self._tasks.values():
            if other.queue == task.queue and other.state is RedriveState.RUNNING:
                raise RedriveUnderWay(task.queue, other.redrive_task_id)

    async def _halt(self, key: str) -> None:
        """End a task's loop, and wait for the step under way: what it moves has to be counted."""
        if (loop := self._loops.get(key)) is not None:
            loop.cancel()
            await asyncio.gather(loop, return_exceptions=True)
        if (step := self._steps.pop(key, None)) is not None:
            await asyncio.gather(step, return_exceptions=True)

    def _queue_changed(self, before: Queue | None, after: Queue | None) -> None:
        """A task ends with its queue: whatever is made under that name is another one."""
        if before is None or after is not None:
            return
        for task in self._tasks.values():
            if task.queue == before.name and task.redrive_task_id in self._loops:
                self._loops[task.redrive_task_id].cancel()
                self._outliving.begin(self._fail(task.redrive_task_id, f"queue {before.name!r} was deleted"))

    async def _fail(self, key: str, said: str) -> None:
        await self._halt(key)
        if self._tasks[key].state is RedriveState.RUNNING:
            await self._keep(self._tasks[key].failed(said))

    async def _keep(self, task: RedriveTask) -> RedriveTask:
        """Store a task that has ended, as soon as the storage lets: until then it would count as running."""
        while True:
            try:
                return await self._step(task, 0)
            except BatonError as error:
                await self._wait_for_storage(error)

    async def _wait_for_storage(self, error: BatonError) -> None:
        log.warning("a redrive waits", action="redrive_waits", reason=error.reason)
        await sleep(self._clock, STORAGE_WAIT)

    def _begin(self, task: RedriveTask) -> None:
        key = task.redrive_task_id
        if key in self._loops or task.state is not RedriveState.RUNNING:
            return
        loop = self._loops[key] = begin_loop(self._run(task), f"redrive {key}")
        loop.add_done_callback(lambda _: self._forget(key))

    def _forget(self, key: str) -> None:
        self._loops.pop(key, None)
        if (step := self._steps.get(key)) is not None and step.done():
            del self._steps[key]

    async def _run(self, task: RedriveTask) -> None:
        while task.state is RedriveState.RUNNING:
            rate = task.max_messages_per_second
            limit = max(1, min(STEP, round(rate / 10))) if rate else STEP
            begun, before = self._clock.now(), task.moved_count
            try:
                step = self._steps[task.redrive_task_id] = asyncio.ensure_future(self._step(task, limit))
                task = await asyncio.shield(step)
            except NotFound as error:
                task = await self._keep(task.failed(error.message))
            except BatonError as error:
                await self._wait_for_storage(error)
                continue
            if rate:
                pace = round(min((task.moved_count - before) * SECOND / rate, float(DAY)))
                await sleep(self._clock, pace - min(max(0, self._clock.now() - begun), pace))
        log.info("redrive ended", action="redrive_ended", redrive_task_id=task.redrive_task_id, state=task.state.name)

    async def _step(self, task: RedriveTask, limit: int) -> RedriveTask:
        return (await self._writer.execute(Redrive(task, self._clock.now(), limit), self._moved)).task

    def _moved(self, redriven: Redriven) -> None:
        task = redriven.task
        self._tasks[task.redrive_task_id] = task
        if task.state is not RedriveState.RUNNING:
            self._duties.drop(_duty(task.redrive_task_id))
        self._broker.follow_up(task.queue, redriven.settled)


def _duty(key: str) -> str:
    return f"redrive {key}"
