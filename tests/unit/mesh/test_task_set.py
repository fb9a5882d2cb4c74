"""Work that outlives its call."""

import asyncio

from mesh import deadline
from mesh.task_set import TaskSet, begin_loop
from mesh.telemetry import request_id


async def test_begun_work_runs_by_itself_and_gives_its_result() -> None:
    async def work() -> int:
        return 7

    assert await TaskSet().begin(work()) == 7


async def test_begun_work_keeps_the_request_id_and_loses_the_deadline() -> None:
    async def work() -> tuple[str, float | None]:
        return request_id.get(), deadline.remaining()

    async def call() -> tuple[str, float | None]:
        request_id.set("r-1")
        deadline.note(1.0)
        return await TaskSet().begin(work())

    assert await asyncio.create_task(call()) == ("r-1", None)


async def test_a_loop_knows_nothing_of_the_call_that_made_it_start() -> None:
    async def loop() -> tuple[str, float | None]:
        return request_id.get(), deadline.remaining()

    async def call() -> tuple[str, float | None]:
        request_id.set("r-1")
        deadline.note(1.0)
        return await begin_loop(loop(), "probe")

    assert await asyncio.create_task(call()) == ("", None)


async def test_finishing_waits_for_what_is_begun_meanwhile_too() -> None:
    tasks, done = TaskSet(), []

    async def second() -> None:
        done.append("second")

    async def first() -> None:
        await asyncio.sleep(0)
        tasks.begin(second())
        done.append("first")

    tasks.begin(first())

    assert await tasks.finish(5) == 0
    assert done == ["first", "second"]


async def test_finishing_ends_in_time_and_says_what_is_left() -> None:
    tasks = TaskSet()
    task = tasks.begin(asyncio.Event().wait())

    left = await tasks.finish(0.01)
    await tasks.cancel()
    await tasks.cancel()

    assert left == 1
    assert task.cancelled()


async def test_a_failing_task_spoils_neither_its_neighbours_nor_the_end() -> None:
    tasks, done = TaskSet(), asyncio.Event()

    async def fail() -> None:
        raise ValueError

    async def succeed() -> None:
        done.set()

    failing = tasks.begin(fail())
    tasks.begin(succeed())

    assert await tasks.finish(5) == 0
    assert done.is_set()
    assert isinstance(failing.exception(), ValueError)
