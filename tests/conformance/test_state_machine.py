"""Random lives of a queue: the SQL store must do, step by step, what the plain one in memory does.

Both share the rules of `queue_service.delivery_state`, which have tests of their own; this holds everything else:
tables, indexes, counters, ordering keys, repeats, paging, restarts. After every step the two are compared, and what
must always hold is checked. Hypothesis prints the steps of a failure.
"""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mesh.clock import SECOND
from mesh.database import sqlite_url
from mesh.errors import BatonError
from mesh.identifier import Identifiers
from queue_service.message import Delivery, Message
from queue_service.queue_definition import ConsumerSettings, Queue, RetryPolicy
from queue_service.redrive import RedriveTask
from queue_service.settlement import Ack, Extend, Reject, Release, Retry, Settlement
from queue_service.storage import verbs, views
from queue_service.storage.memory import MemoryStore
from queue_service.storage.sql import SqlStore
from tests.support.fake_clock import FakeClock

QUEUES = ("work", "dead", "loose")
KEYS = st.sampled_from(["", "", "", "k1", "k2"])
DELAYS = st.sampled_from([None, None, 0, 5, 40])
ACTIONS = st.sampled_from(
    [Ack(), Retry(), Retry(0, "X", "why"), Retry(3 * SECOND, "Y"), Release(), Release(7 * SECOND), Reject("Z")]
)
NOWHERE = st.sampled_from(QUEUES)


class Lives(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.url = sqlite_url(Path(self.folder.name) / "queue.db")
        self.plain, self.sql = MemoryStore(), SqlStore(self.url)
        self.clock = FakeClock()
        self.ids = Identifiers(self.clock)
        self.given: list[tuple[str, Delivery]] = []
        self.tasks = 0

    def teardown(self) -> None:
        self.sql.close()
        self.folder.cleanup()

    def do(self, verb: verbs.Verb[Any]) -> Any:
        """The verb on both: one result."""
        (expected,), (found,) = self.plain.apply([verb]), self.sql.apply([verb])
        if isinstance(expected, BatonError):
            assert (type(found), str(found)) == (type(expected), str(expected))
            return None
        assert found == expected
        return found

    @initialize()
    def queues(self) -> None:
        policy = RetryPolicy(max_retries=2, initial_delay=10 * SECOND)
        work = ConsumerSettings(retry_policy=policy, dead_letter_queue="dead")
        loose = ConsumerSettings(retry_policy=replace(policy, max_retries=0))
        self.do(
            verbs.SaveQueues(
                (
                    Queue("dead", message_retention=500 * SECOND),
                    Queue("work", message_retention=300 * SECOND, consumer=work, max_backlog_messages=30),
                    Queue("loose", message_retention=200 * SECOND, consumer=loose, deduplication_window=60 * SECOND),
                )
            )
        )

    @rule(
        queue=NOWHERE,
        what=st.lists(st.tuples(KEYS, DELAYS, st.sampled_from(["", "", "d1", "d2"])), min_size=1, max_size=6),
        request_id=st.sampled_from(["", "", "", "r1", "r2"]),
    )
    def send(self, queue: str, what: list[tuple[str, int | None, str]], request_id: str) -> None:
        messages = tuple(self.message(queue, *each) for each in what)
        self.do(verbs.Send(queue, messages, self.clock.now(), request_id))

    def message(self, queue: str, key: str, delay: int | None, deduplication_id: str) -> Message:
        now = self.clock.now()
        deliver = None if key or not delay else now + delay * SECOND
        retention = self.plain.queues[queue].message_retention
        return Message(
            message_id=self.ids(),
            content=b"content",
            size=5,
            digest=b"twin" if deduplication_id else b"",
            deduplication_id=deduplication_id,
            ordering_key=key,
            send_time=now,
            deliver_time=deliver,
            expire_time=(deliver or now) + retention,
        )

    @rule(
        queue=NOWHERE,
        limit=st.integers(1, 7),
        seconds=st.sampled_from([5, 30]),
        linger=st.sampled_from([0, 0, 5]),
        request_id=st.sampled_from(["", "", "p1"]),
        attached=st.booleans(),
    )
    def lease(self, queue: str, limit: int, seconds: int, linger: int, request_id: str, attached: bool) -> None:
        now = self.clock.now()
        verb = verbs.Lease(
            queue, now, now + seconds * SECOND, limit, 1 << 20, linger * SECOND, "c", request_id, attached
        )
        (plain,), (found,) = self.plain.apply([verb]), self.sql.apply([verb])
        assert (found.deliveries, found.next_at) == (plain.deliveries, plain.next_at)
        assert all(d.message.expire_time > now for d in found.deliveries)
        assert all(now >= (d.message.deliver_time or 0) for d in found.deliveries)
        self.given += [(queue, delivery) for delivery in found.deliveries]

    @rule(picks=st.lists(st.tuples(st.integers(0, 999), ACTIONS), min_size=1, max_size=5), extend=st.booleans())
    def settle(self, picks: list[tuple[int, Any]], extend: bool) -> None:
        if not self.given:
            return
        chosen = [(*self.given[pick % len(self.given)], action) for pick, action in picks]
        queue = chosen[0][0]
        until = self.clock.now() + 60 * SECOND
        settlements = tuple(
            Settlement(delivery.lease, Extend(until) if extend else action)
            for name, delivery, action in chosen
            if name == queue
        )
        self.do(verbs.Settle(queue, settlements, self.clock.now()))

    @rule(seconds=st.sampled_from([0.000001, 1, 5, 10, 31, 120, 301]))
    def turn(self, seconds: float) -> None:
        self.clock.turn(round(seconds * SECOND))

    @rule(queue=NOWHERE, restarted=st.booleans())
    def expire(self, queue: str, restarted: bool) -> None:
        verb = verbs.Expire(queue, self.clock.now(), restarted=restarted)
        (plain,), (found,) = self.plain.apply([verb]), self.sql.apply([verb])
        assert found.ready_at == plain.ready_at
        assert sorted(g.message_id for g in found.given_up) == sorted(g.message_id for g in plain.given_up)
        assert found.next_at == plain.next_at

    @rule()
    def restart(self) -> None:
        self.sql.close()
        self.sql = SqlStore(self.url)

    @rule(
        queue=NOWHERE,
        codes=st.sampled_from([frozenset(), frozenset({"Z"}), frozenset({"X", "LEASE_EXPIRED"})]),
        ago=st.sampled_from([None, 0, 20]),
        force=st.booleans(),
        cancel=st.booleans(),
    )
    def purge(self, queue: str, codes: frozenset[str], ago: int | None, force: bool, cancel: bool) -> None:
        before = None if ago is None else self.clock.now() - ago * SECOND
        wanted = views.Filter(codes=codes, sent_before=before)
        self.do(verbs.Purge(queue, self.clock.now(), wanted, force, cancel))

    @rule(limit=st.integers(1, 5), codes=st.sampled_from([frozenset(), frozenset({"Z"})]), cap=st.integers(0, 3))
    def redrive(self, limit: int, codes: frozenset[str], cap: int) -> None:
        self.tasks += 1
        task = RedriveTask(f"t{self.tasks}", "dead", "", codes, frozenset(), 0.0, cap, self.clock.now())
        self.do(verbs.Redrive(task, self.clock.now(), limit))

    @invariant()
    def both_hold_the_same(self) -> None:
        for queue in self.plain.queues:
            everything = verbs.Peek(queue, self.clock.now(), 1000, 1 << 30)
            self.do(everything)
            stats = self.do(verbs.Stats(queue, self.clock.now()))
            peeked = self.plain.apply([everything])[0]
            assert stats.ready_count + stats.delayed_count + stats.leased_count == len(peeked)
            assert stats.backlog_bytes == sum(found.state.size for found in peeked)

    @invariant()
    def a_message_is_in_one_queue_only(self) -> None:
        held = [
            found.message.message_id
            for queue in self.plain.queues
            for found in self.sql.apply([verbs.Peek(queue, self.clock.now(), 1000, 1 << 30)])[0]
        ]
        assert len(held) == len(set(held))

    @invariant()
    def one_message_of_a_key_is_in_the_line_or_leased(self) -> None:
        for queue in self.plain.queues:
            peeked = self.plain.apply([verbs.Peek(queue, self.clock.now(), 1000, 1 << 30)])[0]
            keyed = [found.state for found in peeked if found.state.ordering_key]
            heads = [state.ordering_key for state in keyed if not state.blocked]
            assert sorted(heads) == sorted({state.ordering_key for state in keyed})


TestLives = Lives.TestCase
TestLives.settings = settings(
    max_examples=25,
    stateful_step_count=40,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
