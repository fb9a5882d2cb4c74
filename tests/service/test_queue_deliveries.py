"""ConsumerService over a real server: pulls and settlements."""

import asyncio

import grpc

from baton.queue.v1 import consumer_service_pb2, message_pb2, producer_service_pb2, queue_pb2, queue_service_pb2
from tests.support.refusals import refused, violations
from tests.support.running_broker import RunningBroker, duration

Outcome = message_pb2.LeaseOutcome
ack = message_pb2.Ack()


class TestPull:
    async def test_a_long_poll_answers_as_soon_as_a_message_comes(self, broker: RunningBroker) -> None:
        await broker.create()
        waiting = asyncio.create_task(broker.pull(wait=30))
        await broker.stats()  # the pull was received before this answer

        await broker.send("a")

        async with asyncio.timeout(5):
            assert [leased.message.text for leased in await waiting] == ["a"]

    async def test_a_long_poll_ends_empty_after_its_wait(self, broker: RunningBroker) -> None:
        await broker.create()

        request = consumer_service_pb2.PullMessagesRequest(queue="work", max_wait=duration(0.05))
        answer = await broker.consumer.PullMessages(request)

        assert not answer.messages
        assert answer.queue_state == queue_pb2.Queue.STATE_ACTIVE

    async def test_many_waiting_pulls_share_what_comes(self, broker: RunningBroker) -> None:
        await broker.create()
        waiting = [asyncio.create_task(broker.pull(wait=30, max_messages=1)) for _ in range(20)]
        await broker.stats()

        await broker.send(*(str(number) for number in range(20)))

        async with asyncio.timeout(10):
            received = [leased.message.text for pulled in await asyncio.gather(*waiting) for leased in pulled]
        assert sorted(received, key=int) == [str(number) for number in range(20)]

    async def test_a_message_pulled_by_one_who_went_away_is_there_for_the_next(self, broker: RunningBroker) -> None:
        await broker.create()
        gone = asyncio.create_task(broker.pull(wait=30))
        await broker.stats()
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)

        await broker.send("a")

        async with asyncio.timeout(10):
            assert [leased.message.text for leased in await broker.pull(wait=10)] == ["a"]

    async def test_a_delayed_message_wakes_a_waiting_pull_when_its_time_comes(self, broker: RunningBroker) -> None:
        await broker.create()
        waiting = asyncio.create_task(broker.pull(wait=30))
        await broker.stats()
        message = message_pb2.QueueMessage(text="later", delay=duration(0.2))

        await broker.producer.SendMessage(producer_service_pb2.SendMessageRequest(queue="work", message=message))

        async with asyncio.timeout(5):
            (leased,) = await waiting
        assert leased.message.HasField("deliver_time")
        assert not leased.message.HasField("delay")

    async def test_a_lease_that_runs_out_brings_the_message_back(self, broker: RunningBroker) -> None:
        policy = queue_pb2.RetryPolicy(initial_delay=duration(0))
        await broker.create(visibility_timeout=duration(1), retry_policy=policy)
        await broker.send("a")
        (first,) = await broker.pull()

        (second,) = await broker.pull(wait=10)

        assert (second.attempt, second.delivery_count) == (2, 2)
        assert second.lease_id != first.lease_id

    async def test_a_repeat_keeps_its_leases_when_the_first_call_was_cancelled(self, broker: RunningBroker) -> None:
        await broker.create()
        for number in range(30):
            await broker.send("a")
            request = consumer_service_pb2.PullMessagesRequest(queue="work", request_id=f"r{number}")
            first = broker.consumer.PullMessages(request)
            await asyncio.sleep(0)
            first.cancel()

            (leased,) = (await broker.consumer.PullMessages(request)).messages
            outcomes = await broker.settle(message_pb2.Settlement(lease_id=leased.lease_id, ack=ack))

            assert outcomes == [Outcome.LEASE_OUTCOME_APPLIED]

    async def test_a_queue_that_goes_ends_its_long_polls_and_its_successor_wakes_its_own(
        self, broker: RunningBroker
    ) -> None:
        await broker.create()
        old = asyncio.create_task(broker.pull(wait=30))
        await broker.stats()
        await broker.queues.DeleteQueue(queue_service_pb2.DeleteQueueRequest(name="work"))
        await broker.create()
        new = asyncio.create_task(broker.pull(wait=30))
        await broker.stats()

        await broker.send("a")

        async with asyncio.timeout(5):
            assert [leased.message.text for leased in await new] == ["a"]
            assert (await refused(old)).code() == grpc.StatusCode.NOT_FOUND

    async def test_no_more_leave_a_queue_than_its_rate_lets(self, broker: RunningBroker) -> None:
        await broker.create(max_messages_per_second=5)
        await broker.send(*"abcdefgh")

        first = await broker.pull()
        empty = await broker.pull()
        second = await broker.pull(wait=10)

        assert (len(first), len(empty), len(second)) == (1, 0, 1)

    async def test_bounds_of_bytes_are_kept(self, broker: RunningBroker) -> None:
        await broker.create()
        await broker.send("x" * 1000, "y" * 1000, "z" * 1000)

        request = consumer_service_pb2.PullMessagesRequest(queue="work", max_bytes=2500)
        answer = await broker.consumer.PullMessages(request)

        assert len(answer.messages) == 2
        assert answer.ready_count == 1

    async def test_no_batch_of_dead_letters_with_long_stories_exceeds_it_either(self, broker: RunningBroker) -> None:
        policy = queue_pb2.RetryPolicy(max_retries=9)
        await broker.create(dead_letter_queue="dead", retry_policy=policy)
        await broker.send(*(["x"] * 200))
        retry = message_pb2.Retry(delay=duration(0), code="c" * 64, description="d" * 2048)
        for _ in range(10):
            request = consumer_service_pb2.PullMessagesRequest(
                queue="work", max_messages=1000, consumer_instance="i" * 128
            )
            leases = [leased.lease_id for leased in (await broker.consumer.PullMessages(request)).messages]
            await broker.settle(*(message_pb2.Settlement(lease_id=lease_id, retry=retry) for lease_id in leases))

        answer = await broker.consumer.PullMessages(
            consumer_service_pb2.PullMessagesRequest(queue="dead", max_messages=1000)
        )

        assert 2 * 1024 * 1024 < answer.ByteSize() <= 3 * 1024 * 1024

    async def test_no_batch_exceeds_three_mebibytes(self, broker: RunningBroker) -> None:
        await broker.create()
        for _ in range(5):
            await broker.send("x" * 1_000_000)

        answer = await broker.consumer.PullMessages(consumer_service_pb2.PullMessagesRequest(queue="work"))

        assert answer.ByteSize() <= 3 * 1024 * 1024
        assert len(answer.messages) == 3

    async def test_a_repeated_pull_returns_the_first_calls_leases(self, broker: RunningBroker) -> None:
        await broker.create()
        await broker.send("a", "b")
        request = consumer_service_pb2.PullMessagesRequest(queue="work", max_messages=1, request_id="r")

        first = await broker.consumer.PullMessages(request)
        again = await broker.consumer.PullMessages(request)

        assert again.messages == first.messages


class TestSettle:
    async def test_all_four_settlements_do_what_they_say(self, broker: RunningBroker) -> None:
        await broker.create(dead_letter_queue="dead")
        await broker.send("ack", "retry", "release", "reject")
        leases = {leased.message.text: leased.lease_id for leased in await broker.pull()}

        outcomes = await broker.settle(
            message_pb2.Settlement(lease_id=leases["ack"], ack=ack),
            message_pb2.Settlement(lease_id=leases["retry"], retry=message_pb2.Retry(delay=duration(0), code="X")),
            message_pb2.Settlement(lease_id=leases["release"], release=message_pb2.Release()),
            message_pb2.Settlement(lease_id=leases["reject"], reject=message_pb2.Reject(code="Y", description="no")),
        )

        assert outcomes == [Outcome.LEASE_OUTCOME_APPLIED] * 4
        back = {leased.message.text: leased for leased in await broker.pull()}
        assert {text: (leased.attempt, leased.delivery_count) for text, leased in back.items()} == {
            "retry": (2, 2),
            "release": (1, 2),
        }
        (dead,) = await broker.pull("dead")
        assert dead.message.dead_letter.reason == message_pb2.DeadLetter.REASON_REJECTED
        assert dead.message.dead_letter.source_queue == "work"
        assert dead.message.dead_letter.failures[0].code == "Y"

    async def test_results_come_in_order_and_per_lease(self, broker: RunningBroker) -> None:
        await broker.create()
        await broker.create("other")
        await broker.send("a", "b")
        await broker.send("c", queue="other")
        mine, lost = await broker.pull()
        (others,) = await broker.pull("other")
        await broker.settle(message_pb2.Settlement(lease_id=lost.lease_id, release=message_pb2.Release()))
        flipped = ("B" if mine.lease_id[0] == "A" else "A") + mine.lease_id[1:]

        outcomes = await broker.settle(
            *(
                message_pb2.Settlement(lease_id=lease_id, ack=ack)
                for lease_id in ("", "nonsense", flipped, others.lease_id, lost.lease_id, mine.lease_id, mine.lease_id)
            )
        )

        assert outcomes == [
            Outcome.LEASE_OUTCOME_UNKNOWN_LEASE,
            Outcome.LEASE_OUTCOME_UNKNOWN_LEASE,
            Outcome.LEASE_OUTCOME_UNKNOWN_LEASE,
            Outcome.LEASE_OUTCOME_UNKNOWN_LEASE,
            Outcome.LEASE_OUTCOME_LEASE_LOST,
            Outcome.LEASE_OUTCOME_APPLIED,
            Outcome.LEASE_OUTCOME_MESSAGE_GONE,
        ]

    async def test_a_settlement_without_an_action_is_refused_for_the_call(self, broker: RunningBroker) -> None:
        await broker.create()
        await broker.send("a")
        (leased,) = await broker.pull()
        settlements = [
            message_pb2.Settlement(lease_id=leased.lease_id, ack=ack),
            message_pb2.Settlement(lease_id=leased.lease_id),
        ]

        request = consumer_service_pb2.SettleMessagesRequest(queue="work", settlements=settlements)
        error = await refused(broker.consumer.SettleMessages(request))

        assert violations(error) == {"settlements[1].action": "is required"}
        assert (await broker.stats()).acked_total == 0

    async def test_a_late_ack_is_told_apart(self, broker: RunningBroker) -> None:
        await broker.create(visibility_timeout=duration(1), retry_policy=queue_pb2.RetryPolicy(max_retries=1))
        await broker.send("a")
        (first,) = await broker.pull()
        (second,) = await broker.pull(wait=10)

        late = await broker.settle(message_pb2.Settlement(lease_id=first.lease_id, ack=ack))
        live = await broker.settle(message_pb2.Settlement(lease_id=second.lease_id, ack=ack))

        assert late == [Outcome.LEASE_OUTCOME_LEASE_LOST]
        assert live == [Outcome.LEASE_OUTCOME_APPLIED]
