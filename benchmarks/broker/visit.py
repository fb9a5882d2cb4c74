"""One visit: a contestant's server and two processes of its clients, started, measured and stopped."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from benchmarks.broker.batch_client import PATIENCE
from benchmarks.broker.contestant import Contestant
from benchmarks.broker.load import Phase
from benchmarks.broker.measurement import Measurement
from benchmarks.broker.plan import Plan
from benchmarks.percentile import percentile

ROOT = Path(__file__).resolve().parents[2]
# Of one line that a worker says: a thousand latencies are some 20 KiB.
_LINE_BYTES = 1 << 22


class Lost(Exception):
    """A broker delivered other messages than were sent: its figures are none."""


class Worker:
    """A client's process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def measure(self, do: str, **order: Any) -> Phase:
        """Let it carry out a phase."""
        return Phase(**await self.obey(do, **order))

    async def obey(self, do: str, **order: Any) -> dict[str, Any]:
        """Let it carry out an order; raises RuntimeError when it cannot."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **order}).encode() + b"\n")
        return await self.answer()

    async def answer(self) -> dict[str, Any]:
        """Its next line."""
        assert self._process.stdout is not None
        async with asyncio.timeout(2 * PATIENCE):
            line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a client ended with code {await self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


async def visit(contestant: Contestant, number: int, plan: Plan, folder: Path) -> Measurement:
    """Measure one contestant.

    Raises:
        RuntimeError, TimeoutError: its server or a client did not start, or did not go on.
        Lost: messages are missing.
    """
    async with (
        contestant.start(folder) as address,
        _worker(contestant, address) as producer,
        _worker(contestant, address) as consumer,
    ):
        return await _Visit(contestant, plan, producer, consumer).measure(number)


class _Visit:
    def __init__(self, contestant: Contestant, plan: Plan, producer: Worker, consumer: Worker) -> None:
        self._contestant, self._plan = contestant, plan
        self._producer, self._consumer = producer, consumer
        # The same whole number of batches in every phase.
        self._count = max(plan.batch, plan.messages // contestant.slower // plan.batch * plan.batch)

    async def measure(self, number: int) -> Measurement:
        plan = self._plan
        await self._queue("warm-up")
        await self._in_turn(plan.warm_up)
        await self._queue("in-turn")
        send, consume = await self._in_turn(self._count)
        await self._queue("together")
        end_to_end = await self._together()
        await self._queue("singles")
        singles = plan.singles // self._contestant.slower
        phase = await self._producer.measure("send_singly", count=singles, waiting=plan.waiting, size=plan.size)
        waited = [] if self._contestant.limit else await self._latency()
        return Measurement(
            contestant=self._contestant.name,
            number=number,
            send=send,
            consume=consume,
            end_to_end=end_to_end,
            singles=singles / (phase.ended - phase.begun),
            latency_p50=percentile(waited, 0.5) if waited else None,
            latency_p99=percentile(waited, 0.99) if waited else None,
        )

    async def _queue(self, name: str) -> None:
        await self._producer.obey("make", queue=name)
        await asyncio.gather(*(worker.obey("use", queue=name) for worker in (self._producer, self._consumer)))

    async def _in_turn(self, count: int) -> tuple[float, float]:
        """First everything is sent, then everything is consumed: messages a second of either."""
        sent = await self._send(count)
        consumed = await self._consume(count)
        return count / (sent.ended - sent.begun), count / (consumed.ended - consumed.begun)

    async def _together(self) -> float:
        async with asyncio.TaskGroup() as group:
            consumed = group.create_task(self._consume(self._count))
            sent = group.create_task(self._send(self._count))
        return self._count / (consumed.result().ended - sent.result().begun)

    async def _latency(self) -> list[float]:
        plan = self._plan
        await self._queue("latency")
        async with asyncio.TaskGroup() as group:
            consumed = group.create_task(self._consume(plan.steady, batch=0))
            group.create_task(
                self._producer.measure("send_steadily", count=plan.steady, rate=plan.rate, size=plan.size)
            )
        return consumed.result().waited

    async def _send(self, count: int) -> Phase:
        return await self._producer.measure("send", count=count, batch=self._plan.batch, size=self._plan.size)

    async def _consume(self, count: int, batch: int | None = None) -> Phase:
        consumed = await self._consumer.measure(
            "consume", count=count, batch=self._plan.batch if batch is None else batch
        )
        if not self._contestant.limit and consumed.distinct != count:
            raise Lost(f"{self._contestant.title} delivered {consumed.distinct} of {count} messages")
        return consumed


@asynccontextmanager
async def _worker(contestant: Contestant, address: str) -> AsyncIterator[Worker]:
    options = ["--client", f"benchmarks.broker.clients.{contestant.client}", "--address", address]
    process = await asyncio.create_subprocess_exec(
        *(str(contestant.interpreter), "-m", "benchmarks.broker.worker", *options),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=sys.stderr,
        limit=_LINE_BYTES,
    )
    worker = Worker(process)
    try:
        await worker.answer()
        yield worker
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
