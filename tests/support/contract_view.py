"""The broker's values as the contract's model knows them, and the other way round."""

from dataclasses import asdict, replace

from baton.queue.v1.message_pb2 import QueueMessage
from queue_service.lease_id import LeaseIds
from queue_service.message import AttemptFailure, Delivery, Message, NewMessage
from queue_service.message_encoding import decode_message
from queue_service.queue_definition import ConsumerSettings, Queue, RetryPolicy
from queue_service.settlement import Ack, Action, Reject, Release, Retry
from queue_service.storage.views import Peeked, QueueStats
from tests.support.contract_model import Act
from tests.support.contract_model_values import Counted, DeathShown, Given, Seen, Settings, Spec, Story


def new_message(spec: Spec) -> NewMessage:
    message = QueueMessage(
        text=spec.text, attributes=dict(spec.attributes), deduplication_id=spec.deduplication_id, ordering_key=spec.key
    )
    return decode_message(message)._replace(
        delay=spec.delay, deliver_time=spec.deliver_time, ttl=spec.ttl, expire_time=spec.expire_time
    )


def _content(message: Message) -> QueueMessage:
    return QueueMessage.FromString(message.content)


def configured(queue: Queue, wanted: Settings) -> Queue:
    """The queue with these settings; no jitter, so that the model can name the instant of a return."""
    policy = RetryPolicy(wanted.max_retries, wanted.initial_delay, wanted.multiplier, wanted.max_delay, jitter=0.0)
    consumer = ConsumerSettings(
        max_batch_size=wanted.batch,
        visibility_timeout=wanted.visibility,
        retry_policy=policy,
        dead_letter_queue=wanted.dead_letters,
    )
    return replace(
        queue,
        delivery_delay=wanted.delivery_delay,
        message_retention=wanted.retention,
        deduplication_window=wanted.window,
        max_backlog_messages=wanted.max_backlog,
        consumer=consumer,
    )


def action(act: Act) -> Action:
    if act.kind == "ack":
        return Ack()
    if act.kind == "retry":
        return Retry(act.delay, act.code, act.description)
    return Release(act.delay or 0) if act.kind == "release" else Reject(act.code, act.description)


def given(delivery: Delivery, ids: LeaseIds, queue_number: int) -> Given:
    return Given(
        lease_id=ids.encode(queue_number, delivery.lease),
        message_id=delivery.message.message_id,
        attempt=delivery.attempt,
        deliveries=delivery.delivery_count,
        last=delivery.last_attempt,
        lease_end=delivery.lease_expire_time,
        text=_content(delivery.message).text,
    )


def seen(peeked: Peeked) -> Seen:
    message, state = peeked.message, peeked.state
    waits = state.blocked or state.leased
    return Seen(
        message_id=message.message_id,
        place=peeked.place.name,
        attempt=state.failed + 1,
        deliveries=state.deliveries,
        ready_time=None if waits else state.due_at,
        lease_end=state.due_at if state.leased else None,
        failures=_stories(state.failures),
        text=_content(message).text,
        attributes=tuple(sorted(_content(message).attributes.items())),
        key=message.ordering_key,
        deduplication_id=message.deduplication_id,
        send_time=message.send_time,
        deliver_time=message.deliver_time,
        expire_time=message.expire_time,
        death=_death(peeked),
    )


def counted(stats: QueueStats) -> Counted:
    return Counted(
        ready=stats.ready_count,
        delayed=stats.delayed_count,
        leased=stats.leased_count,
        size=stats.backlog_bytes,
        oldest_ready=stats.oldest_ready_at,
        totals=asdict(stats.totals),
    )


def _death(peeked: Peeked) -> DeathShown | None:
    record = peeked.message.dead_letter
    if record is None:
        return None
    return DeathShown(
        reason=record.reason.name,
        source=record.source_queue,
        attempts=record.attempts,
        source_send_time=record.source_send_time,
        time=record.dead_letter_time,
        failures=_stories(record.failures),
        redrives=record.redrive_count,
    )


def _stories(failures: tuple[AttemptFailure, ...]) -> tuple[Story, ...]:
    return tuple(Story(f.attempt, f.failure_time, f.consumer_instance, f.code, f.description) for f in failures)
