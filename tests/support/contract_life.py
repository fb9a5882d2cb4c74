"""One life of a whole broker beside the model of the contract: the calls, each held against the model."""

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant

from mesh.errors import BatonError
from queue_service.message import Delivery
from queue_service.pull import Pull
from queue_service.queue_definition import Queue
from queue_service.storage.base import MessageStore
from queue_service.storage.selection import position
from queue_service.storage.verbs import Leased
from queue_service.storage.views import EVERYTHING, Filter, Place
from tests.support.contract_draws import SETTINGS
from tests.support.contract_model import Act, ContractModel
from tests.support.contract_model_look import compare
from tests.support.contract_model_queue import FOREVER
from tests.support.contract_model_values import SECOND, Seen, Spec
from tests.support.contract_view import action, configured, counted, given, new_message, seen
from tests.support.quiet_broker import QuietBroker

#: A call to the broker, and what holds its answer, or its refusal, against the model.
Step = tuple[Coroutine[Any, Any, Any], Callable[[Any], None]]


class ContractLife(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.broker = QuietBroker(self.open_store)
        self.model = ContractModel(self.broker.clock.now())
        self.given: list[tuple[str, str]] = []
        self.sent: list[tuple[str, str]] = []
        self.tasks = 0

    def open_store(self) -> MessageStore:
        """The store of this life, again after a restart."""
        raise NotImplementedError

    def teardown(self) -> None:
        self.broker.close()

    @initialize()
    def make_queues(self) -> None:
        for name, settings in SETTINGS.items():
            self.take((self.broker.core.catalog.create(configured(Queue(name), settings)), accepted))
            self.model.create(name, replace(settings))

    def take(self, *steps: Step) -> None:
        """Make calls at one moment, and hold each answer against the model."""
        answers = self.broker.ask(*(call for call, _ in steps))
        for (_, check), answer in zip(steps, answers, strict=True):
            check(answer)

    def pause(self, queue: str, ttl: int | None) -> None:
        self.take((self.broker.core.backlog.pause(queue, "why", None if ttl is None else ttl * SECOND), accepted))
        self.model.queues[queue].paused_until = FOREVER if ttl is None else self.model.now + ttl * SECOND

    def resume(self, queue: str) -> None:
        self.take((self.broker.core.backlog.resume(queue), self.resumed(queue)))

    def update(self, queue: str, change: dict[str, Any]) -> None:
        where = self.model.queues[queue]
        where.settings = settings = replace(where.settings, **change)

        def changed(current: Queue | None) -> Queue:
            assert current is not None
            return configured(current, settings)

        self.take((self.broker.core.catalog.update(queue, changed), accepted))

    def make_anew(self) -> None:
        """A queue of the same name is another queue: nothing of the old one is known in it."""
        settings = self.model.queues["loose"].settings
        self.take((self.broker.core.catalog.delete("loose", force=True), accepted))
        self.take((self.broker.core.catalog.create(configured(Queue("loose"), settings)), accepted))
        self.model.create("loose", settings)

    def peek_in_pages(self, queue: str, place: Place | None, size: int) -> None:
        whole = [each for each in self.looked_at(queue) if place is None or each.place == place.name]
        wanted = EVERYTHING if place is None else Filter(places=frozenset({place}))
        assert self.looked_at(queue, wanted, size) == whole

    def settle_what_nobody_gave(self, pick: int, act: Act) -> None:
        queue, known = self.picked(pick) if self.given else ("work", "A" * 40)
        forged = ["", "no lease", "ä", known[:10], known[:-6] + "AAAAA="]
        self.take(self.settling_in(queue, [(lease_id, act) for lease_id in forged]))

    def send_at(self, queue: str, spec: Spec, instants: tuple[int | None, int | None]) -> None:
        deliver, expire = (None if at is None else self.model.now + at * SECOND for at in instants)
        delay, ttl = None if deliver else spec.delay, None if expire else spec.ttl
        spec = spec._replace(delay=delay, deliver_time=deliver, ttl=ttl, expire_time=expire)
        self.take(self.sending(queue, [spec], ""))

    def time_passed(self) -> None:
        self.model.turn(self.broker.clock.now())
        self.model.lapse()

    @invariant()
    def the_broker_is_as_the_contract_has_it(self) -> None:
        self.broker.rest()
        core = self.broker.core
        names = sorted(self.model.queues)
        looks = [core.backlog.peek(name, EVERYTHING, 1000, None) for name in names]
        answers = self.broker.ask(*looks, *(core.backlog.stats(name) for name in names))
        shown = {name: [seen(each) for each in found] for name, (found, _) in zip(names, answers, strict=False)}
        figures = {name: counted(stats) for name, (stats, _) in zip(names, answers[len(names) :], strict=True)}
        compare(self.model, shown, figures)

    # Steps

    def sending(self, queue: str, specs: list[Spec], request_id: str) -> Step:
        def check(answer: Any) -> None:
            results = refusal(answer) or [(result.message_id, result.deduplicated) for result in answer]
            self.model.send(queue, specs, request_id, results)
            self.sent += [(queue, each[0]) for each in results if not isinstance(each, str)]

        return self.broker.core.send(queue, [new_message(spec) for spec in specs], request_id), check

    def pulling(self, queue: str, limit: int, seconds: int, request_id: str, *, wait: int = 0) -> Step:
        def check(leased: Leased) -> None:
            deliveries = [self.delivered(queue, delivery) for delivery in leased.deliveries]
            self.model.pull(queue, limit, seconds * SECOND, "c1", request_id, deliveries)
            known = {lease_id for _, lease_id in self.given}
            self.given += [(queue, each.lease_id) for each in deliveries if each.lease_id not in known]

        visibility = seconds * SECOND or None
        return self.broker.core.pull(Pull(queue, limit, 0, wait, visibility, "c1", request_id)), check

    def delivered(self, queue: str, delivery: Delivery) -> Any:
        return given(delivery, self.broker.core.lease_ids, self.broker.core.catalog.get(queue).number)

    def settling(self, picks: list[tuple[int, Act]]) -> Step:
        """Settlements in the queue of the first; now and then there are leases of another queue among them."""
        queue = self.picked(picks[0][0])[0]
        return self.settling_in(queue, [(self.picked(pick, queue)[1], act) for pick, act in picks])

    def settling_in(self, queue: str, acts: list[tuple[str, Act]]) -> Step:
        def check(outcomes: Any) -> None:
            for (lease_id, act), outcome in zip(acts, outcomes, strict=True):
                self.model.settle(queue, lease_id, act, outcome.name)

        return self.broker.core.settle(queue, [(self.read(queue, lease), action(act)) for lease, act in acts]), check

    def extending(self, picks: list[int], visibility: int) -> Step:
        queue = self.picked(picks[0])[0]
        leases = [self.picked(pick, queue)[1] for pick in picks]

        def check(answer: Any) -> None:
            for lease_id, outcome in zip(leases, answer[0], strict=True):
                self.model.extend(queue, lease_id, visibility, outcome.name)

        return self.broker.core.extend(queue, [self.read(queue, lease) for lease in leases], visibility or None), check

    def read(self, queue: str, lease_id: str) -> Any:
        return self.broker.core.lease_ids.decode(lease_id, self.broker.core.catalog.get(queue).number)

    def resumed(self, queue: str) -> Callable[[Any], None]:
        def check(answer: Any) -> None:
            accepted(answer)
            self.model.queues[queue].paused_until = 0

        return check

    # Choices

    def live_leases(self) -> list[tuple[str, str]]:
        """The leases that are live, or so the broker thinks, newest last."""
        held = ((name, m) for name, queue in self.model.queues.items() for m in queue.messages.values())
        live = {(name, m.lease.lease_id) for name, m in held if m.lease is not None and m.leased}
        return [each for each in self.given if each in live]

    def picked(self, pick: int, queue: str = "") -> tuple[str, str]:
        """A lease that was given: below 38 of that queue, below 20 a live one, if there is one; the newest first."""
        here = [each for each in self.given if each[0] == queue or pick >= 38 or not queue] or self.given
        live = [each for each in self.live_leases() if each in here]
        among = live if pick < 20 and live else here
        return among[-1 - pick % len(among)]

    def waiting_queue(self, pick: int) -> str:
        """A queue that has something ready, if there is one, mostly."""
        ready = [name for name, queue in self.model.queues.items() if queue.ready(self.model.now)]
        names = ready if ready and pick < 30 else sorted(self.model.queues)
        return names[pick % len(names)]

    def known_message(self, pick: int) -> tuple[str, str]:
        """A message that is there or was, with a queue that has it or had it."""
        here = [(name, m) for name, queue in self.model.queues.items() for m in queue.messages]
        known = here + self.sent[-2:] + [("work", "no message")]
        return known[pick % len(known)]

    def some_ids(self, queue: str, pick: int | None) -> frozenset[str]:
        """Ids to filter by: none, or one of the queue's and one of any."""
        here = sorted(self.model.queues[queue].messages) or ["no message"]
        return frozenset() if pick is None else frozenset({here[pick % len(here)], self.known_message(pick)[1]})

    def to_release(self, queue: str, pick: int) -> str | None:
        """A live lease of the queue whose message could be delivered as soon as it is given back."""
        held = self.model.queues[queue].messages.values()
        fresh = [m.lease.lease_id for m in held if m.lease is not None and m.leased and m.expires > self.model.now]
        return fresh[pick % len(fresh)] if fresh and pick < 30 else None

    def looked_at(self, queue: str, wanted: Filter = EVERYTHING, size: int = 1000) -> list[Seen]:
        """All that a peek shows, page after page."""
        shown: list[Seen] = []
        after, more = None, True
        while more:
            ((found, more),) = self.broker.ask(self.broker.core.backlog.peek(queue, wanted, size, after))
            shown += [seen(each) for each in found]
            after = position(found[-1].state) if found else None
        return shown


def accepted(answer: Any) -> None:
    assert not isinstance(answer, BatonError), answer


def refusal(answer: Any) -> str:
    return answer.reason if isinstance(answer, BatonError) else ""
