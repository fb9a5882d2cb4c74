"""QueueService over a real server."""

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from baton.queue.v1 import queue_pb2, queue_service_pb2
from mesh.status import read_error
from tests.support.refusals import refused, violations
from tests.support.running_broker import RunningBroker, duration


class TestQueues:
    async def test_a_new_queue_answers_with_every_default(self, broker: RunningBroker) -> None:
        queue = await broker.create()

        assert queue.message_retention.seconds == 4 * 24 * 3600
        assert queue.consumer.max_batch_size == 10
        assert queue.consumer.retry_policy.max_retries == 3
        assert queue.state == queue_pb2.Queue.STATE_ACTIVE
        assert queue.etag
        assert await broker.get() == queue

    async def test_a_queue_of_that_name_is_refused(self, broker: RunningBroker) -> None:
        await broker.create()

        request = queue_service_pb2.CreateQueueRequest(queue=queue_pb2.Queue(name="work"))
        error = await refused(broker.queues.CreateQueue(request))

        assert (error.code(), read_error(error).reason) == (grpc.StatusCode.ALREADY_EXISTS, "QUEUE_EXISTS")

    async def test_validate_only_changes_nothing(self, broker: RunningBroker) -> None:
        request = queue_service_pb2.CreateQueueRequest(queue=queue_pb2.Queue(name="work"), validate_only=True)

        answer = await broker.queues.CreateQueue(request)
        listed = await broker.queues.ListQueues(queue_service_pb2.ListQueuesRequest())

        assert answer.queue.name == "work"
        assert not listed.queues

    async def test_the_dead_letter_queue_is_made_too(self, broker: RunningBroker) -> None:
        await broker.create(dead_letter_queue="graveyard")

        assert (await broker.get("graveyard")).name == "graveyard"

    async def test_dead_letters_cannot_go_in_a_circle(self, broker: RunningBroker) -> None:
        own = queue_pb2.Queue(name="a", consumer=queue_pb2.ConsumerSettings(dead_letter_queue="a"))
        own_error = await refused(broker.queues.CreateQueue(queue_service_pb2.CreateQueueRequest(queue=own)))
        await broker.create("a", dead_letter_queue="b")
        back = queue_pb2.Queue(name="b", consumer=queue_pb2.ConsumerSettings(dead_letter_queue="a"))

        error = await refused(broker.queues.UpdateQueue(queue_service_pb2.UpdateQueueRequest(queue=back)))

        assert read_error(own_error).reason == read_error(error).reason == "DEAD_LETTER_CYCLE"
        assert error.code() == grpc.StatusCode.FAILED_PRECONDITION

    async def test_a_dead_letter_queue_in_use_stays(self, broker: RunningBroker) -> None:
        await broker.create(dead_letter_queue="graveyard")

        request = queue_service_pb2.DeleteQueueRequest(name="graveyard", force=True)
        error = await refused(broker.queues.DeleteQueue(request))

        assert read_error(error).reason == "DEAD_LETTER_QUEUE_IN_USE"

    async def test_a_queue_with_messages_goes_by_force_only(self, broker: RunningBroker) -> None:
        await broker.create()
        await broker.send("a")

        error = await refused(broker.queues.DeleteQueue(queue_service_pb2.DeleteQueueRequest(name="work")))
        await broker.queues.DeleteQueue(queue_service_pb2.DeleteQueueRequest(name="work", force=True))

        assert read_error(error).reason == "QUEUE_NOT_EMPTY"
        gone = await refused(broker.queues.GetQueue(queue_service_pb2.GetQueueRequest(name="work")))
        assert (gone.code(), read_error(gone).reason) == (grpc.StatusCode.NOT_FOUND, "QUEUE_NOT_FOUND")

    async def test_an_update_takes_the_masked_fields_only(self, broker: RunningBroker) -> None:
        await broker.create(max_batch_size=7, max_concurrency=3)
        change = queue_pb2.Queue(name="work", delivery_delay=duration(9))
        change.consumer.max_batch_size = 8
        mask = FieldMask(paths=["consumer.max_batch_size", "consumer.max_concurrency"])

        answer = await broker.queues.UpdateQueue(queue_service_pb2.UpdateQueueRequest(queue=change, update_mask=mask))

        assert answer.queue.consumer.max_batch_size == 8
        assert answer.queue.consumer.max_concurrency == 10  # masked and unset: back to the default
        assert answer.queue.delivery_delay.seconds == 0

    async def test_a_path_below_what_is_unset_goes_back_to_the_default(self, broker: RunningBroker) -> None:
        await broker.create(dead_letter_queue="dead", max_batch_size=7)
        mask = FieldMask(paths=["consumer.dead_letter_queue"])
        request = queue_service_pb2.UpdateQueueRequest(queue=queue_pb2.Queue(name="work"), update_mask=mask)

        answer = await broker.queues.UpdateQueue(request)

        assert (answer.queue.consumer.dead_letter_queue, answer.queue.consumer.max_batch_size) == ("", 7)

    @pytest.mark.parametrize(
        "path", ["consumer.push.method", "message_retention.seconds", "consumer.retry_policy.max_delay.nanos"]
    )
    async def test_what_can_only_be_replaced_whole_cannot_be_named_in_parts(
        self, broker: RunningBroker, path: str
    ) -> None:
        await broker.create()
        request = queue_service_pb2.UpdateQueueRequest(
            queue=queue_pb2.Queue(name="work"), update_mask=FieldMask(paths=[path])
        )

        assert violations(await refused(broker.queues.UpdateQueue(request))).keys() == {"update_mask.paths[0]"}

    async def test_an_update_that_changes_nothing_leaves_the_queue_as_it_is(self, broker: RunningBroker) -> None:
        before = await broker.create()
        request = queue_service_pb2.UpdateQueueRequest(queue=queue_pb2.Queue(name="work"), allow_missing=True)

        assert (await broker.queues.UpdateQueue(request)).queue == before

    async def test_an_etag_of_a_queue_that_is_gone_makes_none_anew(self, broker: RunningBroker) -> None:
        queue = queue_pb2.Queue(name="work", etag="old")
        request = queue_service_pb2.UpdateQueueRequest(queue=queue, allow_missing=True)

        assert (await refused(broker.queues.UpdateQueue(request))).code() == grpc.StatusCode.ABORTED

    async def test_an_empty_mask_takes_what_is_populated(self, broker: RunningBroker) -> None:
        await broker.create(max_batch_size=7)
        change = queue_pb2.Queue(name="work")
        change.consumer.retry_policy.max_retries = 1

        answer = await broker.queues.UpdateQueue(queue_service_pb2.UpdateQueueRequest(queue=change))

        assert answer.queue.consumer.retry_policy.max_retries == 1
        assert answer.queue.consumer.max_batch_size == 7

    async def test_a_star_replaces_everything(self, broker: RunningBroker) -> None:
        await broker.create(max_batch_size=7)
        request = queue_service_pb2.UpdateQueueRequest(
            queue=queue_pb2.Queue(name="work"), update_mask=FieldMask(paths=["*"])
        )

        answer = await broker.queues.UpdateQueue(request)

        assert answer.queue.consumer.max_batch_size == 10

    async def test_an_unknown_field_in_the_mask_is_named(self, broker: RunningBroker) -> None:
        await broker.create()
        request = queue_service_pb2.UpdateQueueRequest(
            queue=queue_pb2.Queue(name="work"), update_mask=FieldMask(paths=["colour"])
        )

        error = await refused(broker.queues.UpdateQueue(request))

        assert violations(error) == {"update_mask.paths[0]": "a queue has no field 'colour'"}

    async def test_an_old_etag_is_refused(self, broker: RunningBroker) -> None:
        old = (await broker.create()).etag
        change = queue_pb2.Queue(name="work", delivery_delay=duration(1))
        await broker.queues.UpdateQueue(queue_service_pb2.UpdateQueueRequest(queue=change))
        change.etag = old

        update_error = await refused(broker.queues.UpdateQueue(queue_service_pb2.UpdateQueueRequest(queue=change)))
        delete = queue_service_pb2.DeleteQueueRequest(name="work", etag=old)
        delete_error = await refused(broker.queues.DeleteQueue(delete))

        assert update_error.code() == delete_error.code() == grpc.StatusCode.ABORTED
        assert read_error(update_error).reason == "ETAG_MISMATCH"

    async def test_allow_missing_makes_the_queue(self, broker: RunningBroker) -> None:
        queue = queue_pb2.Queue(name="work")
        missing = await refused(broker.queues.UpdateQueue(queue_service_pb2.UpdateQueueRequest(queue=queue)))

        answer = await broker.queues.UpdateQueue(queue_service_pb2.UpdateQueueRequest(queue=queue, allow_missing=True))

        assert missing.code() == grpc.StatusCode.NOT_FOUND
        assert answer.queue.name == "work"

    async def test_queues_are_listed_in_pages(self, broker: RunningBroker) -> None:
        for name in "cab":
            await broker.create(name)

        first = await broker.queues.ListQueues(queue_service_pb2.ListQueuesRequest(page_size=2))
        second = await broker.queues.ListQueues(
            queue_service_pb2.ListQueuesRequest(page_size=2, page_token=first.next_page_token)
        )

        assert [queue.name for queue in first.queues] == ["a", "b"]
        assert [queue.name for queue in second.queues] == ["c"]
        assert not second.next_page_token
