"""Fields in which nothing can be wrong, and why: every other field of a request has its rows."""

OUTPUT_ONLY = "output only: the caller's value is ignored"
CUT = "cut to its length, never refused"
ANY = "any value is right"
EMPTY = "a message without fields"
NUMBER = "the caller's own number, given back"
OUTCOME = "an unknown one has its own outcome, UNKNOWN_LEASE, and the call is OK"

HARMLESS = {
    "QueueMessage.message_id": OUTPUT_ONLY,
    "QueueMessage.send_time": OUTPUT_ONLY,
    "QueueMessage.dead_letter": OUTPUT_ONLY,
    "QueueMessage.producer": OUTPUT_ONLY,
    "QueueMessage.text": "any text; what is too long is the body's fault",
    "QueueMessage.data": "any bytes; what is too long is the body's fault",
    "TypedBody.value": "any bytes; what is too long is the body's fault",
    "Settlement.lease_id": OUTCOME,
    "Settlement.ack": EMPTY,
    "Retry.code": CUT,
    "Retry.description": CUT,
    "Reject.code": CUT,
    "Reject.description": CUT,
    "StreamSendMessagesRequest.sequence": NUMBER,
    "StreamMessagesRequest.sequence": NUMBER,
    "StreamMessagesRequest.drain": EMPTY,
    "StreamMessagesRequest.Open.keep_leases": ANY,
    "Queue.state": OUTPUT_ONLY,
    "Queue.pause_reason": OUTPUT_ONLY,
    "Queue.pause_expire_time": OUTPUT_ONLY,
    "Queue.create_time": OUTPUT_ONLY,
    "Queue.update_time": OUTPUT_ONLY,
    "Queue.push_status": OUTPUT_ONLY,
    "Queue.etag": "a new queue has none to match; of UpdateQueue it has rows",
    "PushTarget.batch": EMPTY,
    "CreateQueueRequest.validate_only": ANY,
    "UpdateQueueRequest.allow_missing": ANY,
    "UpdateQueueRequest.validate_only": ANY,
    "PurgeQueueRequest.force": ANY,
    "PeekMessagesRequest.without_bodies": ANY,
    "RedriveTask.state": OUTPUT_ONLY,
    "RedriveTask.moved_count": OUTPUT_ONLY,
    "RedriveTask.total_count": OUTPUT_ONLY,
    "RedriveTask.error": OUTPUT_ONLY,
    "RedriveTask.create_time": OUTPUT_ONLY,
    "CreateRedriveTaskRequest.validate_only": ANY,
}
