"""Procrastinate: jobs in PostgreSQL, deferred in batches, worked on by its worker, deleted when they are done."""

import asyncio
from collections.abc import Sequence
from typing import Any

import procrastinate  # type: ignore[import-not-found]  # a peer's library

from benchmarks.broker.batch_client import BatchClient, Seen


class Procrastinate(BatchClient):
    """Its app, with one task."""

    async def connect(self) -> None:
        """Open the app."""
        self._app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=self.address))
        self._take: Seen = lambda _: None

        async def work(body: str) -> None:
            self._take(body.encode())

        self._task = self._app.task(name="work")(work)
        await self._app.open_async()

    async def make(self, queue: str) -> None:
        """Nothing: a queue is a word in a job's row. The schema is the server's."""

    async def send(self, bodies: Sequence[bytes]) -> None:
        """One statement."""
        jobs = [{"body": body.decode()} for body in bodies]
        await self._task.configure(queue=self.queue).batch_defer_async(*jobs)

    async def send_one(self, body: bytes) -> None:
        """One job."""
        await self._task.configure(queue=self.queue).defer_async(body=body.decode())

    async def receive(self, most: int) -> tuple[Sequence[bytes], Any]:
        """Never asked for: the worker fetches by itself."""
        raise NotImplementedError

    async def acknowledge(self, received: Any) -> None:
        """Never asked for: a task that returns is done."""
        raise NotImplementedError

    async def consume(self, count: int, batch: int, seen: Seen) -> None:
        """A worker with as many jobs at once as the others have in a batch; ends when the last one is done."""
        left, all_taken = count, asyncio.Event()

        def take(body: bytes) -> None:
            nonlocal left
            seen(body)
            left -= 1
            if not left:
                all_taken.set()

        self._take = take
        worker = asyncio.create_task(
            self._app.run_worker_async(
                queues=[self.queue], concurrency=batch, delete_jobs="always", install_signal_handlers=False
            )
        )
        taken = asyncio.create_task(all_taken.wait())
        await asyncio.wait((worker, taken), return_when=asyncio.FIRST_COMPLETED)
        worker.cancel()  # it lets the jobs end that have begun
        await asyncio.gather(worker, taken, return_exceptions=True)

    async def close(self) -> None:
        """Close the app."""
        await self._app.close_async()
