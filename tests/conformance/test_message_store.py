"""What every message store does, whatever it is made of."""

from dataclasses import replace

import pytest

from mesh.clock import SECOND
from queue_service.errors import BacklogFull, DeduplicationIdReused, QueueNotEmpty, QueueNotFound, RequestIdReused
from queue_service.message import DeadLetterReason
from queue_service.queue_definition import ConsumerSettings, PushTarget, Queue
from queue_service.settlement import Ack, Extend, LeaseOutcome, Reject, Release, Retry
from queue_service.storage import verbs, views
from queue_service.storage.base import MessageStore
from tests.support.broker_store import BrokerStore, texts

APPLIED = LeaseOutcome.APPLIED
APPLIED_LATE = LeaseOutcome.APPLIED_LATE
LEASE_LOST = LeaseOutcome.LEASE_LOST
MESSAGE_GONE = LeaseOutcome.MESSAGE_GONE


@pytest.fixture
def broker(store: MessageStore) -> BrokerStore:
    return BrokerStore(store)


class TestQueues:
    def test_a_queue_comes_back_as_it_was_saved(self, broker: BrokerStore) -> None:
        consumer = ConsumerSettings(max_batch_size=7, push=PushTarget("unix:/x", method="a.v1.B/C"))

        (saved,) = broker.save(Queue("other", delivery_delay=5, consumer=consumer))

        assert saved in broker.store.queues.values()
        assert saved.consumer == consumer

    def test_a_queue_made_anew_has_another_number(self, broker: BrokerStore) -> None:
        (first,) = broker.save(Queue("other"))
        broker.do(verbs.DeleteQueue("other", force=False))

        (second,) = broker.save(Queue("other"))

        assert second.number != first.number

    def test_a_change_keeps_number_and_messages(self, broker: BrokerStore) -> None:
        (first,) = broker.save(Queue("other"))
        broker.send("kept", queue="other")

        (second,) = broker.save(replace(first, delivery_delay=3))

        assert second.number == first.number
        assert texts(broker.lease(queue="other")) == ["kept"]

    def test_a_queue_that_holds_messages_goes_only_by_force(self, broker: BrokerStore) -> None:
        broker.send("a")

        with pytest.raises(QueueNotEmpty):
            broker.do(verbs.DeleteQueue("work", force=False))
        broker.do(verbs.DeleteQueue("work", force=True))

        with pytest.raises(QueueNotFound):
            broker.send("b")

    def test_messages_of_a_deleted_queue_do_not_come_back_with_its_name(self, broker: BrokerStore) -> None:
        broker.send("a", request_id="r", deduplication_id="d")
        broker.do(verbs.DeleteQueue("work", force=True))
        broker.save(Queue("work"))

        (sent,) = broker.do(verbs.Send("work", (broker.message("b", deduplication_id="d"),), broker.clock.now(), "r"))

        assert not sent.deduplicated
        assert texts(broker.lease()) == ["b"]

    @pytest.mark.parametrize(
        "verb",
        [
            verbs.Send("nowhere", (), 0),
            verbs.Lease("nowhere", 0, 1, 1, 1),
            verbs.Settle("nowhere", (), 0),
            verbs.Expire("nowhere", 0),
            verbs.Stats("nowhere", 0),
            verbs.DeleteQueue("nowhere", force=True),
        ],
    )
    def test_an_unknown_queue_is_refused_by_every_verb(self, broker: BrokerStore, verb: verbs.Verb[object]) -> None:
        with pytest.raises(QueueNotFound):
            broker.do(verb)

    def test_a_refused_verb_spoils_none_of_its_neighbours(self, broker: BrokerStore) -> None:
        message = broker.message("a")
        now = broker.clock.now()

        results = broker.store.apply([verbs.Send("nowhere", (message,), now), verbs.Send("work", (message,), now)])

        assert isinstance(results[0], QueueNotFound)
        assert texts(broker.lease()) == ["a"]


class TestSend:
    def test_a_message_comes_back_as_it_was_sent(self, broker: BrokerStore) -> None:
        now = broker.clock.now()
        content = bytes(range(256))
        message = broker.message()._replace(
            content=content, size=200, digest=b"of the body", deduplication_id="d", deliver_time=now
        )

        broker.do(verbs.Send("work", (message,), now))

        assert broker.lease().deliveries[0].message._replace(digest=b"of the body") == message

    def test_messages_are_delivered_in_the_order_of_their_sends(self, broker: BrokerStore) -> None:
        broker.send("a", "b")
        broker.turn(0.000001)
        broker.send("c")

        assert texts(broker.lease(2)) == ["a", "b"]
        assert texts(broker.lease(2)) == ["c"]

    def test_the_same_request_gets_its_first_answer_and_stores_nothing(self, broker: BrokerStore) -> None:
        first = broker.send("a", "b", request_id="r")

        again = broker.send("a", "b", request_id="r")

        assert again == first
        assert broker.stats().ready_count == 2

    def test_a_request_id_is_free_again_after_the_window(self, broker: BrokerStore) -> None:
        broker.send("a", request_id="r")
        broker.turn(300)

        broker.send("b", request_id="r")

        assert broker.stats().ready_count == 2

    def test_the_same_deduplication_id_and_body_is_stored_once_even_after_the_ack(self, broker: BrokerStore) -> None:
        (first,) = broker.send("a", deduplication_id="d")
        broker.settle(broker.lease().deliveries[0])

        (result,) = broker.do(verbs.Send("work", (broker.message("a", deduplication_id="d"),), broker.clock.now()))

        assert result == verbs.SendResult(first, deduplicated=True)
        assert broker.lease().deliveries == ()
        assert broker.stats().totals.deduplicated == 1

    def test_a_repeat_within_one_send_is_recognised_too(self, broker: BrokerStore) -> None:
        first, second = broker.send("a", "a", deduplication_id="d")

        assert first == second
        assert broker.stats().ready_count == 1

    def test_a_request_id_with_another_number_of_messages_is_no_repeat(self, broker: BrokerStore) -> None:
        broker.send("a", "b", request_id="r")

        with pytest.raises(RequestIdReused):
            broker.send("a", request_id="r")

    def test_a_deduplication_id_with_another_body_is_refused_and_nothing_is_stored(self, broker: BrokerStore) -> None:
        broker.send("a", deduplication_id="d")
        messages = (broker.message("fresh"), broker.message("b", deduplication_id="d"))

        with pytest.raises(DeduplicationIdReused):
            broker.do(verbs.Send("work", messages, broker.clock.now()))

        assert texts(broker.lease()) == ["a"]

    def test_a_deduplication_id_is_free_again_after_the_window(self, broker: BrokerStore) -> None:
        broker.send("a", deduplication_id="d")
        broker.turn(300)

        broker.send("b", deduplication_id="d")

        assert texts(broker.lease()) == ["a", "b"]

    def test_a_full_backlog_refuses_a_send_whole(self, broker: BrokerStore) -> None:
        broker.save(Queue("small", max_backlog_messages=2), Queue("thin", max_backlog_bytes=4))
        broker.send("a", queue="small")

        with pytest.raises(BacklogFull, match="max_backlog_messages is 2"):
            broker.send("b", "c", queue="small")
        with pytest.raises(BacklogFull, match="max_backlog_bytes is 4"):
            broker.send("abcde", queue="thin")

        assert broker.stats("small").ready_count == 1
        assert broker.stats("thin").ready_count == 0


class TestDelay:
    def test_a_delayed_message_is_never_early(self, broker: BrokerStore) -> None:
        broker.send("later", deliver_time=broker.clock.now() + 10 * SECOND)

        early = broker.lease()
        broker.turn(9.999999)
        still_early = broker.lease()
        broker.turn(0.000001)

        assert early.deliveries == still_early.deliveries == ()
        assert early.next_at == broker.clock.now()
        assert texts(broker.lease()) == ["later"]

    def test_a_delay_longer_than_the_lease_delivers_once(self, broker: BrokerStore) -> None:
        broker.send("later", deliver_time=broker.clock.now() + 12 * 3600 * SECOND, expire_time=1 << 60)
        broker.turn(12 * 3600)

        (delivery,) = broker.lease(seconds=30).deliveries

        assert delivery.attempt == 1
        assert broker.lease().deliveries == ()


class TestLease:
    def test_a_leased_message_is_nobody_elses(self, broker: BrokerStore) -> None:
        broker.send("a")

        broker.lease()

        assert broker.lease().deliveries == ()

    def test_a_delivery_says_what_a_consumer_must_know(self, broker: BrokerStore) -> None:
        broker.send("a")

        (delivery,) = broker.lease(seconds=30).deliveries

        assert (delivery.attempt, delivery.lease.delivery, delivery.last_attempt) == (1, 1, False)
        assert delivery.lease_expire_time == broker.clock.now() + 30 * SECOND

    def test_bytes_bound_a_delivery_but_never_to_nothing(self, broker: BrokerStore) -> None:
        broker.send("x" * 1000, "y" * 1000)

        assert len(broker.lease(max_bytes=1).deliveries) == 1
        assert len(broker.lease(max_bytes=1).deliveries) == 1

    def test_what_is_left_is_counted_and_can_be_had_at_once(self, broker: BrokerStore) -> None:
        broker.send("a", "b", "c")

        leased = broker.lease(1)

        assert leased.ready_count == 2
        assert leased.next_at is not None
        assert leased.next_at <= broker.clock.now()

    def test_an_empty_queue_has_nothing_on_its_way(self, broker: BrokerStore) -> None:
        assert broker.lease() == verbs.Leased((), None, 0)

    def test_a_repeated_request_gets_the_leases_that_are_still_live(self, broker: BrokerStore) -> None:
        broker.send("a", "b", "c")
        first = broker.lease(2, request_id="r")
        broker.settle(first.deliveries[0])

        again = broker.lease(2, request_id="r")

        assert again.deliveries == first.deliveries[1:]
        assert texts(broker.lease(2)) == ["c"]

    def test_a_batch_lingers_until_it_is_full(self, broker: BrokerStore) -> None:
        broker.send("a")
        waits = broker.lease(2, linger=5 * SECOND)
        broker.turn(1)
        broker.send("b")

        full = broker.lease(2, linger=5 * SECOND)

        assert waits.deliveries == ()
        assert waits.next_at == broker.clock.now() + 4 * SECOND
        assert texts(full) == ["a", "b"]

    def test_a_batch_that_stays_small_goes_when_its_first_message_has_waited(self, broker: BrokerStore) -> None:
        broker.send("a")
        broker.turn(4.999999)
        early = broker.lease(2, linger=5 * SECOND)
        broker.turn(0.000001)

        assert early.deliveries == ()
        assert texts(broker.lease(2, linger=5 * SECOND)) == ["a"]


class TestSettle:
    def test_an_acked_message_is_gone_and_a_repeated_ack_says_so(self, broker: BrokerStore) -> None:
        broker.send("a")
        (delivery,) = broker.lease().deliveries

        assert broker.settle(delivery, Ack()) is APPLIED
        assert broker.settle(delivery, Ack()) is MESSAGE_GONE
        assert broker.stats().totals.acked == 1

    def test_the_first_settlement_of_a_lease_wins(self, broker: BrokerStore) -> None:
        broker.send("a")
        (delivery,) = broker.lease().deliveries

        settled = broker.settle_all([(delivery, Ack()), (delivery, Retry())])

        assert settled.outcomes == (APPLIED, MESSAGE_GONE)
        assert broker.stats().ready_count == 0

    def test_a_retry_wins_over_a_later_ack_in_the_same_call(self, broker: BrokerStore) -> None:
        broker.send("a")
        (delivery,) = broker.lease().deliveries

        settled = broker.settle_all([(delivery, Retry(delay=0)), (delivery, Ack())])

        assert settled.outcomes == (APPLIED, LEASE_LOST)
        assert texts(broker.lease()) == ["a"]

    def test_a_retry_follows_the_policy_and_counts_an_attempt(self, broker: BrokerStore) -> None:
        broker.send("a")
        broker.settle(broker.lease().deliveries[0], Retry())
        broker.turn(9.999999)
        early = broker.lease().deliveries
        broker.turn(0.000001)

        (second,) = broker.lease().deliveries

        assert early == ()
        assert (second.attempt, second.lease.delivery) == (2, 2)

    def test_the_policy_doubles_the_delay(self, broker: BrokerStore) -> None:
        broker.send("a")
        broker.settle(broker.lease().deliveries[0], Retry(delay=0))

        settled = broker.settle_all([(broker.lease().deliveries[0], Retry())])

        assert settled.ready_at == {"work": broker.clock.now() + 20 * SECOND}

    def test_a_retrys_own_delay_goes_over_the_policy(self, broker: BrokerStore) -> None:
        broker.send("a")
        broker.settle(broker.lease().deliveries[0], Retry(delay=3 * SECOND))
        broker.turn(3)

        assert texts(broker.lease()) == ["a"]

    def test_a_release_costs_no_attempt_but_is_a_delivery(self, broker: BrokerStore) -> None:
        broker.send("a")
        broker.settle(broker.lease().deliveries[0], Release(delay=2 * SECOND))
        early = broker.lease().deliveries
        broker.turn(2)

        (second,) = broker.lease().deliveries

        assert early == ()
        assert (second.attempt, second.lease.delivery) == (1, 2)

    def test_one_lost_lease_spoils_none_of_its_neighbours(self, broker: BrokerStore) -> None:
        broker.send("a", "b")
        first, second = broker.lease().deliveries
        broker.settle(first, Release())

        settled = broker.settle_all([(first, Ack()), (second, Ack())])

        assert settled.outcomes == (LEASE_LOST, APPLIED)

    def test_an_extended_lease_lives_longer_and_an_ended_one_is_not_revived(self, broker: BrokerStore) -> None:
        broker.send("a")
        (delivery,) = broker.lease(seconds=10).deliveries
        broker.settle(delivery, Extend(broker.clock.now() + 20 * SECOND))
        broker.turn(19)
        broker.expire()
        held = broker.lease().deliveries
        broker.turn(1)

        outcome = broker.settle(delivery, Extend(broker.clock.now() + 20 * SECOND))

        assert held == ()
        assert outcome is LEASE_LOST


class TestLateSettlement:
    def test_a_late_ack_applies_while_nobody_else_had_the_message(self, broker: BrokerStore) -> None:
        broker.send("a")
        (delivery,) = broker.lease(seconds=10).deliveries
        broker.turn(10)

        assert broker.settle(delivery) is APPLIED_LATE
        assert broker.stats().totals.acked == 1

    def test_it_applies_too_once_the_expiry_was_noticed(self, broker: BrokerStore) -> None:
        broker.send("a")
        (delivery,) = broker.lease(seconds=10).deliveries
        broker.turn(10)
        broker.expire()

        assert broker.settle(delivery) is APPLIED_LATE
        broker.turn(100)
        assert broker.lease().deliveries == ()

    def test_it_is_lost_once_somebody_else_has_the_message(self, broker: BrokerStore) -> None:
        broker.send("a")
        (first,) = broker.lease(seconds=10).deliveries
        broker.turn(10)
        broker.expire()
        broker.turn(10)
        (second,) = broker.lease().deliveries

        assert broker.settle(first) is LEASE_LOST
        assert broker.settle(second) is APPLIED

    @pytest.mark.parametrize("noticed", [False, True])
    def test_a_late_retry_or_release_counts_one_failure_only(self, broker: BrokerStore, noticed: bool) -> None:
        broker.send("a", "b")
        first, second = broker.lease(seconds=10).deliveries
        broker.turn(10)
        if noticed:
            broker.expire()

        settled = broker.settle_all([(first, Retry(delay=0)), (second, Release(delay=0))])

        assert settled.outcomes == (APPLIED_LATE, APPLIED_LATE)
        assert [delivery.attempt for delivery in broker.lease().deliveries] == [2, 2]

    def test_a_late_ack_of_a_last_attempt_applies_until_it_is_dead_lettered(self, broker: BrokerStore) -> None:
        broker.send("a", "b")
        for _ in range(2):
            leased = broker.lease().deliveries
            broker.settle_all([(delivery, Retry(delay=0)) for delivery in leased])
        first, second = broker.lease(seconds=10).deliveries
        broker.turn(10)
        outcome = broker.settle(first)
        broker.expire()

        assert outcome is APPLIED_LATE
        assert broker.settle(second) is MESSAGE_GONE


class TestExpiry:
    def test_a_lease_that_ran_out_is_a_failure_by_the_same_policy(self, broker: BrokerStore) -> None:
        broker.send("a")
        broker.lease(seconds=30, consumer_instance="c1")
        broker.turn(31)

        settled = broker.expire()

        assert settled.ready_at == {"work": broker.clock.now() + 9 * SECOND}
        broker.turn(9)
        (second,) = broker.lease().deliveries
        assert second.attempt == 2

    def test_the_next_end_is_known(self, broker: BrokerStore) -> None:
        broker.send("a", "b", expire_time=broker.clock.now() + 100 * SECOND)
        broker.lease(1, seconds=30)

        assert broker.expire().next_at == broker.clock.now() + 30 * SECOND

    def test_nothing_ends_in_an_empty_queue(self, broker: BrokerStore) -> None:
        assert broker.expire().next_at is None

    def test_an_expired_message_is_not_delivered_and_goes_to_the_dead_letters(self, broker: BrokerStore) -> None:
        broker.send("a", expire_time=broker.clock.now() + 60 * SECOND)
        broker.turn(60)

        late = broker.lease().deliveries
        settled = broker.expire()

        assert late == ()
        assert settled.given_up[0].reason is DeadLetterReason.EXPIRED
        assert texts(broker.lease(queue="work-dead")) == ["a"]
        assert broker.stats().totals.expired == broker.stats().totals.dead_lettered == 1

    def test_a_leased_message_expires_only_when_it_comes_back(self, broker: BrokerStore) -> None:
        broker.send("a", expire_time=broker.clock.now() + 60 * SECOND)
        (delivery,) = broker.lease(seconds=120).deliveries
        broker.turn(61)
        broker.expire()

        assert broker.settle(delivery) is APPLIED


class TestRestart:
    def test_what_a_push_or_stream_held_comes_back_free_and_what_was_pulled_stays_leased(
        self, broker: BrokerStore
    ) -> None:
        broker.send("pushed", "pulled")
        broker.lease(1, attached=True)
        (pulled,) = broker.lease(1).deliveries

        settled = broker.do(verbs.Expire("work", broker.clock.now(), restarted=True))

        assert settled.ready_at == {"work": broker.clock.now()}
        (again,) = broker.lease().deliveries
        assert (again.attempt, again.lease.delivery) == (1, 2)
        assert broker.settle(pulled) is APPLIED
        assert broker.stats().totals.released == 1

    def test_only_a_restart_does_that(self, broker: BrokerStore) -> None:
        broker.send("pushed")
        broker.lease(1, attached=True)

        broker.expire()

        assert broker.lease().deliveries == ()


class TestDeadLetters:
    def test_the_last_failed_attempt_moves_the_message_with_its_story(self, broker: BrokerStore) -> None:
        (message_id,) = broker.send("a", deduplication_id="d")
        sent_at = broker.clock.now()
        for number in range(3):
            (delivery,) = broker.lease(consumer_instance="c1").deliveries
            assert delivery.last_attempt is (number == 2)
            broker.settle(delivery, Retry(delay=0, code=f"E{number}", description="why"))

        (dead,) = broker.lease(queue="work-dead").deliveries

        assert dead.message.message_id == message_id
        assert (dead.message.content, dead.message.deduplication_id, dead.attempt) == (b"a", "", 1)
        record = dead.message.dead_letter
        assert record is not None
        assert (record.reason, record.source_queue, record.attempts) == (DeadLetterReason.MAX_RETRIES, "work", 3)
        assert record.source_send_time == sent_at
        assert [failure.code for failure in record.failures] == ["E2", "E1", "E0"]
        assert [failure.attempt for failure in record.failures] == [3, 2, 1]
        assert record.failures[0].consumer_instance == "c1"
        assert broker.stats().ready_count == broker.stats().leased_count == 0

    def test_a_rejected_message_moves_at_once(self, broker: BrokerStore) -> None:
        broker.send("a")

        settled = broker.settle_all([(broker.lease().deliveries[0], Reject("BAD", "no such runner"))])

        assert settled.ready_at == {"work-dead": broker.clock.now()}
        record = broker.lease(queue="work-dead").deliveries[0].message.dead_letter
        assert record is not None
        assert (record.reason, record.attempts) == (DeadLetterReason.REJECTED, 1)
        assert (record.failures[0].code, record.failures[0].description) == ("BAD", "no such runner")

    def test_without_a_dead_letter_queue_it_is_dropped_and_counted(self, broker: BrokerStore) -> None:
        broker.save(Queue("loose"))
        broker.send("a", queue="loose")

        settled = broker.settle_all([(broker.lease(queue="loose").deliveries[0], Reject())], queue="loose")

        assert settled.given_up[0].dead_letter_queue == ""
        stats = broker.stats("loose")
        assert (stats.totals.dropped, stats.totals.dead_lettered, stats.backlog_bytes) == (1, 0, 0)

    def test_ten_failures_are_kept_and_long_texts_are_cut(self, broker: BrokerStore) -> None:
        broker.save(Queue("long", consumer=ConsumerSettings(dead_letter_queue="work-dead")))
        policy = replace(ConsumerSettings().retry_policy, max_retries=11)
        broker.save(Queue("long", consumer=ConsumerSettings(retry_policy=policy, dead_letter_queue="work-dead")))
        broker.send("a", queue="long")
        for _ in range(12):
            (delivery,) = broker.lease(queue="long").deliveries
            broker.settle(delivery, Retry(delay=0, code="c" * 100, description="ü" * 3000), queue="long")

        record = broker.lease(queue="work-dead").deliveries[0].message.dead_letter

        assert record is not None
        assert [failure.attempt for failure in record.failures] == list(range(12, 2, -1))
        assert len(record.failures[0].code) == 64
        assert len(record.failures[0].description.encode()) == 2048

    def test_a_lease_from_before_it_died_and_came_back_is_lost(self, broker: BrokerStore) -> None:
        broker.save(Queue("work", consumer=ConsumerSettings(dead_letter_queue="work-dead")))
        broker.send("a")
        (old,) = broker.lease().deliveries
        broker.settle(old, Reject("X"))
        broker.save(Queue("work"), Queue("work-dead", consumer=ConsumerSettings(dead_letter_queue="work")))
        broker.settle(broker.lease(queue="work-dead").deliveries[0], Reject("Y"), queue="work-dead")
        (new,) = broker.lease().deliveries

        assert new.lease != old.lease
        assert broker.settle(old) is LEASE_LOST
        assert broker.settle(new) is APPLIED

    def test_many_die_in_one_call(self, broker: BrokerStore) -> None:
        broker.send(*(f"m{number}" for number in range(600)))
        leased = broker.lease(600).deliveries

        settled = broker.settle_all([(delivery, Reject("X")) for delivery in leased])

        assert settled.outcomes == (APPLIED,) * 600
        assert broker.stats("work-dead").ready_count == 600


class TestStats:
    def test_a_message_is_in_exactly_one_place(self, broker: BrokerStore) -> None:
        broker.send("aa", "bb", "cc")
        broker.send("dd", deliver_time=broker.clock.now() + SECOND)
        broker.lease(1)
        broker.turn(0.5)

        stats = broker.stats()

        assert (stats.ready_count, stats.delayed_count, stats.leased_count, stats.backlog_bytes) == (2, 1, 1, 8)
        assert stats.oldest_ready_at == broker.clock.now() - SECOND // 2

    def test_totals_are_exact(self, broker: BrokerStore) -> None:
        broker.send("a", "b", "c", "d")
        a, b, c, d = broker.lease().deliveries
        broker.settle_all([(a, Ack()), (b, Retry()), (c, Release()), (d, Reject())])

        totals = broker.stats().totals

        assert totals == views.Totals(sent=4, delivered=4, acked=1, retried=1, released=1, dead_lettered=1)

    def test_nothing_ready_has_no_age(self, broker: BrokerStore) -> None:
        broker.send("a", deliver_time=broker.clock.now() + SECOND)

        assert broker.stats().oldest_ready_at is None
