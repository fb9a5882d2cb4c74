import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

import pytest

from benchmarks.broker import load
from benchmarks.broker.batch_client import BatchClient


class Line(BatchClient):
    """A broker in memory, which notes what it is asked."""

    def __init__(self) -> None:
        super().__init__("here")
        self.waiting: deque[bytes] = deque()
        self.sent: list[int] = []
        self.acknowledged: list[int] = []
        self.under_way = self.most_under_way = 0

    async def connect(self) -> None: ...

    async def make(self, queue: str) -> None: ...

    async def send(self, bodies: Sequence[bytes]) -> None:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await asyncio.sleep(0)
        self.under_way -= 1
        self.waiting.extend(bodies)
        self.sent.append(len(bodies))

    async def receive(self, most: int) -> tuple[Sequence[bytes], Any]:
        bodies = [self.waiting.popleft() for _ in range(min(most, len(self.waiting)))]
        return bodies, len(bodies)

    async def acknowledge(self, received: Any) -> None:
        self.acknowledged.append(received)


def test_a_body_says_which_it_is_and_when_it_was_sent_and_has_its_size() -> None:
    body = load.body(17, 200, 1234.5)

    assert (len(body), load.number_in(body), load.stamp_in(body)) == (200, 17, 1234.5)


async def test_batches_are_sent_and_acknowledged_one_after_the_other() -> None:
    client = Line()

    sent = await load.send(client, 250, 100, 64)
    consumed = await load.consume(client, 250, 100)

    assert (client.sent, client.acknowledged, client.most_under_way) == ([100, 100, 50], [100, 100, 50], 1)
    assert sent.begun <= sent.ended <= consumed.begun <= consumed.ended
    assert (consumed.distinct, consumed.waited) == (250, [])


async def test_single_sends_are_under_way_as_many_at_a_time_as_was_said() -> None:
    client = Line()

    await load.send_singly(client, 100, 8, 64)

    assert (client.sent, client.most_under_way) == ([1] * 100, 8)


async def test_steady_sends_say_how_long_each_waited_for_its_consumer() -> None:
    client = Line()

    sent = await load.send_steadily(client, 20, 1_000, 64)
    consumed = await load.consume(client, 20, 0)

    assert sent.ended - sent.begun >= 19 / 1_000
    assert len(consumed.waited) == consumed.distinct == 20
    assert min(consumed.waited) > 0
    assert consumed.waited == sorted(consumed.waited, reverse=True)


async def test_a_message_that_came_in_place_of_another_is_no_message() -> None:
    client = Line()
    await load.send(client, 10, 10, 64)
    client.waiting[3] = client.waiting[4]

    consumed = await load.consume(client, 10, 10)

    assert consumed.distinct == 9


async def test_a_broker_that_delivers_nothing_does_not_hang_the_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "PATIENCE", 0.01)

    class Mute(Line):
        async def receive(self, most: int) -> tuple[Sequence[bytes], Any]:
            await asyncio.Event().wait()
            raise AssertionError

    with pytest.raises(TimeoutError):
        await load.consume(Mute(), 1, 1)
