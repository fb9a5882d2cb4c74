"""The client's own README as programs, and workers that are signalled and killed, with a broker of their own."""

import asyncio
import itertools
import re
import signal
import sys
from collections.abc import AsyncIterator

import pytest

from baton.queue.v1 import queue_pb2, queue_service_pb2
from baton_client import Client
from tests.support.eventually import eventually
from tests.support.processes import ROOT, MeshProcesses, Program, environment_with
from tests.support.running_broker import duration

pytestmark = pytest.mark.acceptance

BLOCKS = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WORKER, PRODUCER, SCRIPT = BLOCKS.findall((ROOT / "baton_client/README.md").read_text(encoding="utf-8"))

LOGGING_WORKER = """
import asyncio, logging, sys
from baton_client import Client, Message

logging.basicConfig(level=logging.INFO)

client = Client(sys.argv[1])

@client.consumer("jobs", concurrency=4, prefetch=4, mode=sys.argv[2])
async def handle(message: Message[str]) -> None:
    print("begun", message.body, flush=True)
    await asyncio.sleep(0.02)
    with open(sys.argv[3], "a") as done:
        done.write(message.body + "\\n")

client.run()
"""


@pytest.fixture
async def jobs(mesh: MeshProcesses) -> AsyncIterator[Client]:
    """A running broker with the queue that the README's programs use."""
    await mesh.start(mesh.queue)
    policy = queue_pb2.RetryPolicy(initial_delay=duration(0.1))
    consumer = queue_pb2.ConsumerSettings(dead_letter_queue="jobs-dead", retry_policy=policy)
    async with Client(mesh.queue.address) as client:
        request = queue_service_pb2.CreateQueueRequest(queue=queue_pb2.Queue(name="jobs", consumer=consumer))
        await client.queues.CreateQueue(request, timeout=10)
        yield client


def program(mesh: MeshProcesses, name: str, code: str, *arguments: str) -> Program:
    path = mesh.folder / name
    path.write_text(code.replace("127.0.0.1:50052", mesh.queue.address), encoding="utf-8")
    return Program(sys.executable, str(path), *arguments, environment=environment_with({}), folder=mesh.folder)


async def stats(client: Client, queue: str = "jobs") -> queue_pb2.QueueStats:
    request = queue_service_pb2.GetQueueStatsRequest(name=queue)
    return (await client.queues.GetQueueStats(request, timeout=10, wait_for_ready=True)).stats


async def test_the_readmes_worker_producer_and_script_do_what_they_say(mesh: MeshProcesses, jobs: Client) -> None:
    producer, script = program(mesh, "producer.py", PRODUCER), program(mesh, "script.py", SCRIPT)
    worker = program(mesh, "worker.py", WORKER)
    try:
        assert await script.run() == 0, script.errors
        assert "the spoons APPLIED" in str(script.output)
        assert await producer.run() == 0, producer.errors
        await worker.start()
        await worker.output.have("washed plate 99 at attempt 1")
        await worker.output.have("washed the car at attempt 2")
        await worker.output.have("washed the dog at attempt 1")
        await eventually(lambda: stats(jobs, "jobs-dead"), lambda figures: figures.ready_count == 1)
        await worker.stop()
    finally:
        for each in (producer, script, worker):
            await each.clean_up()
    figures = await stats(jobs)
    assert (figures.ready_count, figures.leased_count, figures.dead_lettered_total) == (0, 0, 1)


@pytest.mark.parametrize("mode", ["stream", "pull"])
async def test_workers_replaced_one_after_the_other_do_each_job_once(
    mesh: MeshProcesses, jobs: Client, mode: str
) -> None:
    done = mesh.folder / "done"
    done.touch()
    names = [str(number) for number in range(400)]
    await jobs.producer("jobs").send_all(names)
    arguments = (mesh.queue.address, mode, str(done))
    fleet = [program(mesh, f"worker{number}.py", LOGGING_WORKER, *arguments) for number in range(4)]
    try:
        await fleet[0].start()
        for before, after in itertools.pairwise(fleet):
            await after.start()
            await before.output.have("begun")
            await before.stop()
        await eventually(lambda: stats(jobs), lambda figures: figures.acked_total == len(names))
        await fleet[-1].stop()
    finally:
        for each in fleet:
            await each.clean_up()
    assert sorted(done.read_text().split()) == sorted(names)
    assert (await stats(jobs)).retried_total == 0


async def test_a_worker_that_is_killed_and_a_broker_that_is_killed_lose_nothing(
    mesh: MeshProcesses, jobs: Client
) -> None:
    done = mesh.folder / "done"
    done.touch()
    names = [str(number) for number in range(300)]
    await jobs.producer("jobs").send_all(names)
    arguments = (mesh.queue.address, "stream", str(done))
    first, second = (program(mesh, f"worker{number}.py", LOGGING_WORKER, *arguments) for number in range(2))
    try:
        await first.start()
        await first.output.have("begun")
        await first.kill()
        await second.start()
        await second.output.have("begun")
        await mesh.queue.kill()
        await mesh.start(mesh.queue)
        await eventually(lambda: stats(jobs), lambda figures: figures.ready_count + figures.leased_count == 0)
        await eventually(lambda: stats(jobs), lambda figures: figures.delayed_count == 0)
        await second.stop()
    finally:
        for each in (first, second):
            await each.clean_up()
    assert set(done.read_text().split()) == set(names)


async def test_a_second_signal_ends_a_worker_at_once(mesh: MeshProcesses, jobs: Client) -> None:
    code = LOGGING_WORKER.replace("asyncio.sleep(0.02)", "asyncio.Event().wait()")
    worker = program(mesh, "worker.py", code, mesh.queue.address, "stream", str(mesh.folder / "done"))
    try:
        await worker.start()
        await jobs.send("jobs", "a")
        await worker.output.have("begun a")
        worker.send(signal.SIGTERM)
        await worker.errors.have("stopping")
        worker.send(signal.SIGTERM)
        async with asyncio.timeout(10):
            assert await worker.ended() == 0
    finally:
        await worker.clean_up()
