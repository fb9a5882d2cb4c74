"""For every method one request with all that a caller may set, and nothing wrong in it."""

from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from baton.queue.v1 import consumer_service_pb2 as consumer
from baton.queue.v1 import message_pb2, queue_pb2
from baton.queue.v1 import producer_service_pb2 as producer
from baton.queue.v1 import queue_service_pb2 as queues

Stream = consumer.StreamMessagesRequest

MINUTE = Duration(seconds=60)
_ID = "01998a3c-8a00-7000-8000-000000000000"

MESSAGE = message_pb2.QueueMessage(
    typed=message_pb2.TypedBody(type_name="a.v1.B", value=b"\x0a\x01b"),
    attributes={"traceparent": "00", "a.b_c-9": "ü"},
    deduplication_id="sound",
    delay=MINUTE,
    ttl=MINUTE,
    content_type="text/csv",
)
ORDERED = message_pb2.QueueMessage(json='{"a": [1, null]}', ordering_key="key")
SETTLEMENTS = [
    message_pb2.Settlement(lease_id="x", ack=message_pb2.Ack()),
    message_pb2.Settlement(lease_id="y", retry=message_pb2.Retry(delay=MINUTE, code="C", description="why")),
    message_pb2.Settlement(lease_id="z", release=message_pb2.Release(delay=MINUTE)),
    message_pb2.Settlement(lease_id="z", reject=message_pb2.Reject(code="C", description="why")),
]
RETRIES = queue_pb2.RetryPolicy(max_retries=2, initial_delay=MINUTE, multiplier=2.0, max_delay=MINUTE, jitter=0.1)
CONSUMER = queue_pb2.ConsumerSettings(
    max_batch_size=5,
    max_batch_timeout=MINUTE,
    visibility_timeout=MINUTE,
    retry_policy=RETRIES,
    dead_letter_queue="sound-dead",
    max_concurrency=2,
    max_messages_per_second=100.0,
    push=queue_pb2.PushTarget(address="unix:/nobody", method=queue_pb2.MethodCall(method="a.v1.B/C")),
)
QUEUE = queue_pb2.Queue(
    name="sound",
    delivery_delay=MINUTE,
    message_retention=MINUTE,
    deduplication_window=MINUTE,
    max_backlog_messages=1_000,
    max_backlog_bytes=1_000_000,
    consumer=CONSUMER,
)
TASK = queue_pb2.RedriveTask(
    redrive_task_id="sound",
    queue="dead",
    destination="work",
    codes=["C"],
    message_ids=[_ID],
    max_messages_per_second=10.0,
    max_messages=1,
)
FLOW = Stream.FlowControl(max_outstanding_messages=1, max_outstanding_bytes=1_000)

SOUND: dict[str, Message] = {
    "ProducerService/SendMessage": producer.SendMessageRequest(queue="work", message=ORDERED, request_id="one"),
    "ProducerService/SendMessages": producer.SendMessagesRequest(
        queue="work", messages=[MESSAGE, ORDERED], request_id="many"
    ),
    "ProducerService/StreamSendMessages": producer.StreamSendMessagesRequest(
        sequence=1, queue="work", messages=[MESSAGE, ORDERED], request_id="streamed"
    ),
    "ProducerService/CancelMessage": producer.CancelMessageRequest(queue="work", message_id=_ID),
    "ConsumerService/PullMessages": consumer.PullMessagesRequest(
        queue="work",
        max_messages=1,
        max_bytes=1_000,
        max_wait=Duration(nanos=1_000),
        visibility_timeout=MINUTE,
        consumer_instance="c",
        request_id="r",
    ),
    "ConsumerService/SettleMessages": consumer.SettleMessagesRequest(queue="work", settlements=SETTLEMENTS),
    "ConsumerService/ExtendLeases": consumer.ExtendLeasesRequest(
        queue="work", lease_ids=["x", "y"], visibility_timeout=MINUTE
    ),
    "ConsumerService/StreamMessages": Stream(
        sequence=1,
        open=Stream.Open(
            queue="work",
            consumer_instance="c",
            flow_control=FLOW,
            visibility_timeout=MINUTE,
            keep_leases=True,
            max_batch_size=2,
            max_batch_timeout=Duration(),
        ),
    ),
    "QueueService/CreateQueue": queues.CreateQueueRequest(queue=QUEUE),
    "QueueService/GetQueue": queues.GetQueueRequest(name="work"),
    "QueueService/ListQueues": queues.ListQueuesRequest(page_size=2**31 - 1),
    "QueueService/UpdateQueue": queues.UpdateQueueRequest(
        queue=queue_pb2.Queue(name="sound-too", consumer=CONSUMER),
        update_mask=FieldMask(paths=["consumer.retry_policy.jitter", "delivery_delay"]),
        allow_missing=True,
    ),
    "QueueService/DeleteQueue": queues.DeleteQueueRequest(name="sound-too", force=True),
    "QueueService/PauseQueue": queues.PauseQueueRequest(name="work", ttl=Duration(nanos=1_000_000), reason="\0"),
    "QueueService/ResumeQueue": queues.ResumeQueueRequest(name="work"),
    "QueueService/PurgeQueue": queues.PurgeQueueRequest(
        name="work", sent_before=Timestamp(seconds=1), message_ids=[_ID], codes=["C"], force=True
    ),
    "QueueService/GetQueueStats": queues.GetQueueStatsRequest(name="work"),
    "QueueService/PeekMessages": queues.PeekMessagesRequest(
        name="work", page_size=1, states=queues.PeekedMessage.State.values()[1:], codes=["C"], without_bodies=True
    ),
    "QueueService/GetMessage": queues.GetMessageRequest(queue="work", message_id=_ID),
    "QueueService/CreateRedriveTask": queues.CreateRedriveTaskRequest(redrive_task=TASK),
    "QueueService/GetRedriveTask": queues.GetRedriveTaskRequest(redrive_task_id="sound"),
    "QueueService/ListRedriveTasks": queues.ListRedriveTasksRequest(queue="dead", page_size=1),
    "QueueService/CancelRedriveTask": queues.CancelRedriveTaskRequest(redrive_task_id="sound"),
}
# What is sound and finds nothing.
FINDS_NOTHING = frozenset({"ProducerService/CancelMessage", "QueueService/GetMessage"})
