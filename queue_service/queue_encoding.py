"""Queues between protobuf and domain, update masks included."""

from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf.field_mask_pb2 import FieldMask

from baton.queue.v1 import queue_pb2 as pb
from mesh.errors import InvalidArgument, Violation
from mesh.field_rules import FieldRules
from mesh.wire_time import duration_of, duration_to, instant_to
from queue_service.queue_definition import ConsumerSettings, PushTarget, Queue, RetryPolicy
from queue_service.storage.views import QueueStats, Totals

_QUEUE = Queue("")
_CONSUMER = ConsumerSettings()
_RETRIES = RetryPolicy()
# More paths than a queue has fields are of no use, and naming each in an answer would take for ever.
MAX_PATHS = 100
# What a mask may name; a duration or a push target is replaced whole.
_PATHS = frozenset(
    {field.name for field in pb.Queue.DESCRIPTOR.fields}
    | {f"consumer.{field.name}" for field in pb.ConsumerSettings.DESCRIPTOR.fields}
    | {f"consumer.retry_policy.{field.name}" for field in pb.RetryPolicy.DESCRIPTOR.fields}
)


@dataclass(frozen=True, slots=True)
class PushHealth:
    """Whether a pushed queue's target answers; ``reason`` says why it does not."""

    healthy: bool
    reason: str
    change_time: int


def decode_queue(queue: pb.Queue) -> Queue:
    """A queue as a caller wants it, with every default filled in."""
    return Queue(
        name=queue.name,
        delivery_delay=duration_of(queue.delivery_delay),
        message_retention=(
            duration_of(queue.message_retention) if queue.HasField("message_retention") else _QUEUE.message_retention
        ),
        deduplication_window=(
            duration_of(queue.deduplication_window)
            if queue.HasField("deduplication_window")
            else _QUEUE.deduplication_window
        ),
        max_backlog_messages=queue.max_backlog_messages,
        max_backlog_bytes=queue.max_backlog_bytes,
        consumer=_decode_consumer(queue.consumer),
    )


def _decode_consumer(consumer: pb.ConsumerSettings) -> ConsumerSettings:
    has = consumer.HasField
    return ConsumerSettings(
        max_batch_size=consumer.max_batch_size if has("max_batch_size") else _CONSUMER.max_batch_size,
        max_batch_timeout=(
            duration_of(consumer.max_batch_timeout) if has("max_batch_timeout") else _CONSUMER.max_batch_timeout
        ),
        visibility_timeout=(
            duration_of(consumer.visibility_timeout) if has("visibility_timeout") else _CONSUMER.visibility_timeout
        ),
        retry_policy=_decode_retry_policy(consumer.retry_policy),
        dead_letter_queue=consumer.dead_letter_queue,
        max_concurrency=consumer.max_concurrency if has("max_concurrency") else _CONSUMER.max_concurrency,
        max_messages_per_second=consumer.max_messages_per_second,
        push=PushTarget(consumer.push.address, consumer.push.method.method) if has("push") else None,
    )


def _decode_retry_policy(policy: pb.RetryPolicy) -> RetryPolicy:
    has = policy.HasField
    return RetryPolicy(
        max_retries=policy.max_retries if has("max_retries") else _RETRIES.max_retries,
        initial_delay=duration_of(policy.initial_delay) if has("initial_delay") else _RETRIES.initial_delay,
        multiplier=policy.multiplier if has("multiplier") else _RETRIES.multiplier,
        max_delay=duration_of(policy.max_delay) if has("max_delay") else _RETRIES.max_delay,
        jitter=policy.jitter if has("jitter") else _RETRIES.jitter,
    )


def encode_queue(queue: Queue, now: int, health: PushHealth | None = None) -> pb.Queue:
    """A queue as a caller gets it at an instant: effective values throughout."""
    encoded = pb.Queue(
        name=queue.name,
        delivery_delay=duration_to(queue.delivery_delay),
        message_retention=duration_to(queue.message_retention),
        deduplication_window=duration_to(queue.deduplication_window),
        max_backlog_messages=queue.max_backlog_messages,
        max_backlog_bytes=queue.max_backlog_bytes,
        consumer=_encode_consumer(queue.consumer),
        state=encode_state(queue, now),
        create_time=instant_to(queue.create_time),
        update_time=instant_to(queue.update_time),
        etag=queue.etag,
    )
    if queue.pause is not None and queue.paused(now):
        encoded.pause_reason = queue.pause.reason
        if queue.pause.expire_time:
            encoded.pause_expire_time.CopyFrom(instant_to(queue.pause.expire_time))
    if health is not None:
        state = pb.PushStatus.STATE_HEALTHY if health.healthy else pb.PushStatus.STATE_UNREACHABLE
        status = pb.PushStatus(state=state, reason=health.reason, change_time=instant_to(health.change_time))
        encoded.push_status.CopyFrom(status)
    return encoded


def encode_state(queue: Queue, now: int) -> "pb.Queue.State.ValueType":
    """Whether a queue delivers at an instant."""
    return pb.Queue.STATE_PAUSED if queue.paused(now) else pb.Queue.STATE_ACTIVE


def _encode_consumer(consumer: ConsumerSettings) -> pb.ConsumerSettings:
    policy = consumer.retry_policy
    encoded = pb.ConsumerSettings(
        max_batch_size=consumer.max_batch_size,
        max_batch_timeout=duration_to(consumer.max_batch_timeout),
        visibility_timeout=duration_to(consumer.visibility_timeout),
        retry_policy=pb.RetryPolicy(
            max_retries=policy.max_retries,
            initial_delay=duration_to(policy.initial_delay),
            multiplier=policy.multiplier,
            max_delay=duration_to(policy.max_delay),
            jitter=policy.jitter,
        ),
        dead_letter_queue=consumer.dead_letter_queue,
        max_concurrency=consumer.max_concurrency,
        max_messages_per_second=consumer.max_messages_per_second,
    )
    if consumer.push is not None and consumer.push.method:
        encoded.push.CopyFrom(
            pb.PushTarget(address=consumer.push.address, method=pb.MethodCall(method=consumer.push.method))
        )
    elif consumer.push is not None:
        encoded.push.CopyFrom(pb.PushTarget(address=consumer.push.address, batch=pb.BatchCall()))
    return encoded


def checked_paths(mask: FieldMask) -> list[str]:
    """The paths in a mask; raises InvalidArgument where one names no field of a queue that can be set by itself."""
    paths = list(mask.paths)
    if paths == ["*"]:
        return paths
    if len(paths) > MAX_PATHS:
        said = f"must have at most {MAX_PATHS} items, has {len(paths)}"
        raise InvalidArgument([Violation("update_mask.paths", said)])
    violations = [
        Violation(f"update_mask.paths[{index}]", f"a queue has no field {path[:64]!r}")
        for index, path in enumerate(paths)
        if path not in _PATHS
    ]
    if violations:
        raise InvalidArgument(violations)
    return paths


def merge_queue(current: Queue, update: pb.Queue, paths: Sequence[str], rules: FieldRules) -> Queue:
    """``current`` with the fields at the paths taken from ``update``; one that is unset there gets its default.

    No paths mean the fields that ``update`` has set, ``*`` all of them.

    Raises:
        InvalidArgument: the result breaks a rule.
    """
    paths = list(paths) or _populated(update)
    if paths == ["*"]:
        return decode_queue(update)
    merged, source = encode_queue(current, current.update_time), pb.Queue()
    source.CopyFrom(update)
    source.consumer.retry_policy.SetInParent()  # a path below a message that is unset would be passed over
    FieldMask(paths=paths).MergeMessage(source, merged, replace_message_field=True, replace_repeated_field=True)
    merged.name = current.name
    if broken := rules.check(merged, merged.ByteSize()):
        raise InvalidArgument([Violation(f"queue.{found.field}", found.description) for found in broken])
    return decode_queue(merged)


def _populated(queue: pb.Queue) -> list[str]:
    """The paths of the leaves that are set, so that a queue's other settings beside them stay."""
    paths: list[str] = []
    for field, value in queue.ListFields():
        if field.name == "consumer":
            for inner, deep in value.ListFields():
                nested = inner.name == "retry_policy"
                leaves = [f"retry_policy.{leaf.name}" for leaf, _ in deep.ListFields()] if nested else [inner.name]
                paths += [f"consumer.{leaf}" for leaf in leaves]
        else:
            paths.append(field.name)
    return paths


def encode_stats(stats: QueueStats, now: int) -> pb.QueueStats:
    """A queue's figures as of an instant."""
    encoded = pb.QueueStats(
        ready_count=stats.ready_count,
        delayed_count=stats.delayed_count,
        leased_count=stats.leased_count,
        backlog_bytes=stats.backlog_bytes,
        observe_time=instant_to(now),
        **{f"{name}_total": getattr(stats.totals, name) for name in Totals.__slots__},
    )
    if stats.oldest_ready_at is not None:
        encoded.oldest_ready_age.CopyFrom(duration_to(now - stats.oldest_ready_at))
    return encoded
