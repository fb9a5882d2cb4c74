"""What an operator does with a queue over a real server: peek, get, purge, pause, resume; and leases made longer."""

import asyncio

import grpc
import pytest

from baton.queue.v1 import consumer_service_pb2, message_pb2, producer_service_pb2, queue_pb2, queue_service_pb2
from mesh.status import read_error
from tests.support.refusals import refused, violations
from tests.support.running_broker import RunningBroker, duration

Peeked = queue_service_pb2.PeekedMessage
Outcome = message_pb2.LeaseOutcome


async def peek(broker: RunningBroker, **fields: object) -> queue_service_pb2.PeekMessagesResponse:
    request = queue_service_pb2.PeekMessagesRequest(name="work", **fields)  # type: ignore[arg-type]
    return await broker.queues.PeekMessages(request)


async def purge(broker: RunningBroker, **fields: object) -> int:
    request = queue_service_pb2.PurgeQueueRequest(name="work", **fields)  # type: ignore[arg-type]
    return (await broker.queues.PurgeQueue(request)).purge_count


class TestPeek:
    async def test_it_shows_state_and_times_and_touches_nothing(self, broker: RunningBroker) -> None:
        await broker.create()
        await broker.send("leased", "ready")
        later = message_pb2.QueueMessage(text="later", delay=duration(3600))
        await broker.producer.SendMessage(producer_service_pb2.SendMessageRequest(queue="work", message=later))
        await broker.pull(max_messages=1)
        before = await broker.stats()

        found = {peeked.message.text: peeked for peeked in (await peek(broker)).messages}

        assert {text: peeked.state for text, peeked in found.items()} == {
            "ready": Peeked.STATE_READY,
            "later": Peeked.STATE_DELAYED,
            "leased": Peeked.STATE_LEASED,
        }
        assert found["leased"].HasField("lease_expire_time")
        assert found["later"].ready_time == found["later"].message.deliver_time
        assert (found["leased"].attempt, found["leased"].delivery_count) == (1, 1)
        after = await broker.stats()
        after.observe_time.CopyFrom(before.observe_time)
        after.oldest_ready_age.CopyFrom(before.oldest_ready_age)
        assert after == before

    async def test_pages_lead_to_the_end(self, broker: RunningBroker) -> None:
        await broker.create()
        await broker.send(*"abcde")
        texts, token = [], ""

        while True:
            page = await peek(broker, page_size=2, page_token=token)
            texts += [peeked.message.text for peeked in page.messages]
            token = page.next_page_token
            if not token:
                break

        assert texts == list("abcde")

    async def test_bodies_can_be_left_out(self, broker: RunningBroker) -> None:
        await broker.create()
        await broker.send("secret")

        (peeked,) = (await peek(broker, without_bodies=True)).messages

        assert peeked.message.WhichOneof("body") is None
        assert peeked.message.message_id

    @pytest.mark.parametrize("token", ["x", "AAAA", "MTox", "OTk5OjE6eHg"])
    async def test_a_token_that_we_did_not_make_is_refused(self, broker: RunningBroker, token: str) -> None:
        await broker.create()

        error = await refused(peek(broker, page_token=token))

        assert violations(error).keys() == {"page_token"}

    async def test_one_message_is_shown_by_its_id(self, broker: RunningBroker) -> None:
        await broker.create()
        (message_id,) = await broker.send("a")
        get = broker.queues.GetMessage

        found = await get(queue_service_pb2.GetMessageRequest(queue="work", message_id=message_id))
        error = await refused(get(queue_service_pb2.GetMessageRequest(queue="work", message_id="no id")))

        assert found.message.message.text == "a"
        assert (error.code(), read_error(error).reason) == (grpc.StatusCode.NOT_FOUND, "MESSAGE_NOT_FOUND")


class TestPurge:
    async def test_it_only_counts_unless_forced(self, broker: RunningBroker) -> None:
        await broker.create()
        await broker.send("a", "b")
        (leased,) = await broker.pull(max_messages=1)

        assert await purge(broker) == 2
        assert await purge(broker, force=True) == 2

        ack = message_pb2.Settlement(lease_id=leased.lease_id, ack=message_pb2.Ack())
        assert await broker.settle(ack) == [Outcome.LEASE_OUTCOME_MESSAGE_GONE]
        assert (await broker.stats()).purged_total == 2


class TestPause:
    async def test_a_paused_queue_takes_messages_and_says_that_it_delivers_none(self, broker: RunningBroker) -> None:
        await broker.create()
        pause = queue_service_pb2.PauseQueueRequest(name="work", reason="deploy")
        paused = (await broker.queues.PauseQueue(pause)).queue

        await broker.send("a")
        answer = await broker.consumer.PullMessages(consumer_service_pb2.PullMessagesRequest(queue="work"))

        assert (paused.state, paused.pause_reason) == (queue_pb2.Queue.STATE_PAUSED, "deploy")
        assert answer.queue_state == queue_pb2.Queue.STATE_PAUSED
        assert not answer.messages

    async def test_resuming_wakes_who_waits(self, broker: RunningBroker) -> None:
        await broker.create()
        await broker.queues.PauseQueue(queue_service_pb2.PauseQueueRequest(name="work"))
        await broker.send("a")
        waiting = asyncio.create_task(broker.pull(wait=30))
        await broker.stats()

        resumed = await broker.queues.ResumeQueue(queue_service_pb2.ResumeQueueRequest(name="work"))

        async with asyncio.timeout(10):
            assert len(await waiting) == 1
        assert resumed.queue.state == queue_pb2.Queue.STATE_ACTIVE

    async def test_a_pause_with_a_ttl_heals_itself(self, broker: RunningBroker) -> None:
        await broker.create()
        await broker.queues.PauseQueue(queue_service_pb2.PauseQueueRequest(name="work", ttl=duration(1)))
        await broker.send("a")

        async with asyncio.timeout(10):
            assert len(await broker.pull(wait=30)) == 1
        assert (await broker.get()).state == queue_pb2.Queue.STATE_ACTIVE

    async def test_an_update_does_not_end_a_pause(self, broker: RunningBroker) -> None:
        await broker.create()
        await broker.queues.PauseQueue(queue_service_pb2.PauseQueueRequest(name="work"))
        change = queue_pb2.Queue(name="work", delivery_delay=duration(1))

        answer = await broker.queues.UpdateQueue(queue_service_pb2.UpdateQueueRequest(queue=change))

        assert answer.queue.state == queue_pb2.Queue.STATE_PAUSED


class TestExtend:
    async def test_a_live_lease_ends_later_and_a_lost_one_stays_lost(self, broker: RunningBroker) -> None:
        await broker.create()
        await broker.send("a", "b")
        live, lost = await broker.pull()
        await broker.settle(message_pb2.Settlement(lease_id=lost.lease_id, release=message_pb2.Release()))
        ids = [live.lease_id, lost.lease_id, "nonsense"]
        request = consumer_service_pb2.ExtendLeasesRequest(
            queue="work", lease_ids=ids, visibility_timeout=duration(3600)
        )

        extensions = (await broker.consumer.ExtendLeases(request)).extensions

        assert [extension.lease_id for extension in extensions] == ids
        assert [extension.outcome for extension in extensions] == [
            Outcome.LEASE_OUTCOME_APPLIED,
            Outcome.LEASE_OUTCOME_LEASE_LOST,
            Outcome.LEASE_OUTCOME_UNKNOWN_LEASE,
        ]
        assert extensions[0].lease_expire_time.seconds > live.lease_expire_time.seconds + 3000
