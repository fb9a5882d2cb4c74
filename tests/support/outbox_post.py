"""An outbox, its relay, and the socket at which the relay looks for a broker that a test opens and closes."""

import asyncio
from pathlib import Path

import grpc

from baton.queue.v1.producer_service_pb2_grpc import ProducerServiceStub
from mesh.channel import open_channel
from mesh.database import sqlite_url
from mesh.outbox import OutboxRelay
from mesh.outbox_entry import HandOver
from mesh.server import Server
from tests.support.recording_producer import RecordingProducer
from tests.support.sql_outbox import WatchedOutbox
from tests.support.watched_clock import WatchedClock


class Post:
    """Its socket is named from the folder of the test, so the test runs in it."""

    def __init__(self, folder: Path) -> None:
        self.clock = WatchedClock()
        self.outbox = WatchedOutbox(sqlite_url(folder / "outbox.db"))
        self.address = f"unix:{folder.name}.sock"
        self.channel: grpc.aio.Channel = open_channel(self.address, packages=["queue"])
        self.relay = OutboxRelay(self.outbox, ProducerServiceStub(self.channel), self.clock)
        self._server: Server | None = None

    def expect_no_broker(self) -> None:
        """Wait for a broker that is away only as long as a test can."""
        self.relay = OutboxRelay(self.outbox, ProducerServiceStub(self.channel), self.clock, timeout=0.3)

    async def until(self, count: int, what: HandOver = HandOver.SENT) -> list[str]:
        """Turn the clock on, wait by wait, until so many entries have come to that."""
        ended = asyncio.create_task(self.outbox.until(count, what))
        while not ended.done():
            waiting = asyncio.create_task(self.clock.waited_for())
            await asyncio.wait({ended, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done() and not ended.done():
                self.clock.turn(waiting.result())
            waiting.cancel()
        return await ended

    async def open_broker(self) -> RecordingProducer:
        producer = RecordingProducer()
        self._server = Server(producer, [self.address], grace=0.1)
        await self._server.start()
        return producer

    async def close_broker(self) -> None:
        if self._server is not None:
            await self._server.stop()

    async def close(self) -> None:
        await self.relay.stop()
        await self.close_broker()
        await self.channel.close()
        self.outbox.close()
