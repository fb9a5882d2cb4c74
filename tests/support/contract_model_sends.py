"""What the contract's model foretells of a send."""

from collections.abc import Sequence

from tests.support.contract_model_queue import ModelQueue
from tests.support.contract_model_values import SECOND, Spec

DAY = 24 * 3600 * SECOND

Answer = list[tuple[str, bool]] | str
#: The id of a result that is foretold: itself, None for a new one, the place in the same send of the one it repeats.
Foretold = str | Sequence[tuple[str | int | None, bool]]


def allowed_answers(
    queue: ModelQueue, specs: Sequence[Spec], request_id: str, now: int, known_at: int
) -> tuple[list[Foretold], bool]:
    """What a broker may answer that knows what was known at ``known_at``, and whether that stores something."""
    if any(_invalid(queue, spec, now) for spec in specs):
        return ["FIELD_INVALID"], False
    answered = queue.requests.get(request_id) if request_id else None
    if answered is not None and answered.until > known_at:
        # What another number of messages under the same id is answered is not the contract's matter.
        return [answered.answer, *["REQUEST_ID_REUSED"] * (len(answered.answer) != len(specs))], False
    kept = {key: repeat for key, repeat in queue.deduplications.items() if repeat.until > known_at}
    known: dict[str, tuple[str | int, str]] = {key: (each.answer[0][0], each.body) for key, each in kept.items()}
    results: list[tuple[str | int | None, bool]] = []
    reused = False
    for place, spec in enumerate(specs):
        key = spec.deduplication_id
        if key and key in known:
            reused |= known[key][1] != spec.text
            results.append((known[key][0], True))
            continue
        if key:
            known[key] = place, spec.text
        results.append((None, False))
    fresh = results.count((None, False))
    full = bool(fresh and queue.settings.max_backlog and len(queue.messages) + fresh > queue.settings.max_backlog)
    refusals: list[Foretold] = [*["DEDUPLICATION_ID_REUSED"] * reused, *["BACKLOG_FULL"] * full]
    return (refusals, False) if refusals else ([results], True)


def _invalid(queue: ModelQueue, spec: Spec, now: int) -> bool:
    deliver = now if spec.deliver_time is None else spec.deliver_time
    begins = max(begins_at(queue, spec, now), now)
    expires = begins + 1 if spec.expire_time is None else spec.expire_time
    too_late = deliver > now + 7 * DAY
    delayed_key = bool(spec.key and (spec.delay or spec.deliver_time is not None))
    return too_late or delayed_key or not begins < expires <= begins + 30 * DAY


def begins_at(queue: ModelQueue, spec: Spec, now: int) -> int:
    if spec.deliver_time is not None:
        return max(now, spec.deliver_time)
    return now + (queue.settings.delivery_delay if spec.delay is None else spec.delay)


def fits(answer: Answer, foretold: Foretold) -> bool:
    if isinstance(answer, str) or isinstance(foretold, str):
        return answer == foretold
    if len(answer) != len(foretold):
        return False
    ids = [answer[wanted][0] if isinstance(wanted, int) else wanted for wanted, _ in foretold]
    alike = all(wanted in (None, got) for wanted, (got, _) in zip(ids, answer, strict=True))
    return alike and [repeat for _, repeat in answer] == [repeat for _, repeat in foretold]
