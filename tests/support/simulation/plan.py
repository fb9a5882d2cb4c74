"""What a seed decides beforehand: which faults there are in this life, how many clients, how long it lasts.

No life has all of it: a fault that is always there hides what happens without it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from mesh.clock import SECOND
from queue_service.queue_definition import MINUTE, ConsumerSettings, PushTarget, Queue, RetryPolicy

#: The queues of every life.
WORK, LOOSE, PUSHED, DEAD = "work", "loose", "pushed", "work-dead"
#: Where the pushed queue's handler is.
HANDLER = "handler.test:1"


@dataclass(frozen=True, slots=True)
class Weather:
    """How the storage and the network behave; chances are per commit or call, times in seconds."""

    busy: float = 0.0
    refused: float = 0.0
    unknown: float = 0.0
    done_again: float = 0.0
    lost_answers: float = 0.0
    commit: float = 0.001
    late: float = 0.0
    network: float = 0.001
    handler_away: float = 0.0


CALM = Weather()


@dataclass(frozen=True, slots=True)
class Plan:
    """One life.

    Consumers that are ``patient`` wait long, so that nobody looks who is not told to; clients ``in_step`` call at the
    same moments, several times a second.
    """

    seed: int
    seconds: float
    producers: int
    consumers: int
    weather: Weather
    kills: int
    stops: int
    steps: int
    operators: bool
    patient: bool
    in_step: bool
    rate: float
    window: int

    def chance(self, whose: str) -> Random:
        """Draws of one actor's own, so that what one does leaves the draws of the others as they were."""
        return Random(f"{self.seed}/{whose}")

    def queues(self) -> Sequence[Queue]:
        """The queues to make at first."""
        short = RetryPolicy(max_retries=2, initial_delay=SECOND // 2, max_delay=2 * SECOND)
        work = ConsumerSettings(5, SECOND // 2, 4 * SECOND, short, DEAD)
        loose = ConsumerSettings(5, SECOND // 2, 3 * SECOND, replace(short, max_retries=1))
        push = PushTarget(HANDLER)
        return [
            Queue(WORK, deduplication_window=self.window, consumer=work),
            Queue(LOOSE, deduplication_window=self.window, consumer=replace(loose, max_messages_per_second=self.rate)),
            Queue(PUSHED, deduplication_window=self.window, consumer=replace(work, max_concurrency=2, push=push)),
        ]


def draw(seed: int) -> Plan:
    """The plan of a seed."""
    chance = Random(f"{seed}/plan")

    def perhaps(most: float, share: float = 0.5) -> float:
        return chance.uniform(0, most) if chance.random() < share else 0.0

    steps = chance.randint(1, 3) if chance.random() < 0.15 else 0
    weather = Weather(
        busy=perhaps(0.2),
        refused=perhaps(0.2),
        unknown=perhaps(0.2),
        done_again=perhaps(0.1, 0.3),
        lost_answers=perhaps(0.15),
        commit=chance.choice([0.0, 0.001, 0.02, 0.2]),
        late=chance.choice([0.0, 0.0, 0.02, 0.5]),
        network=chance.choice([0.0, 0.001, 0.05, 0.5]),
        handler_away=perhaps(0.3),
    )
    return Plan(
        seed=seed,
        seconds=chance.uniform(4, 20),
        producers=chance.randint(1, 3),
        consumers=chance.randint(1, 5),
        weather=weather,
        kills=chance.choice([0, 0, 1, 2, 3]),
        stops=chance.choice([0, 0, 0, 1]),
        steps=steps,
        operators=chance.random() < 0.6,
        patient=chance.random() < 0.4,
        in_step=chance.random() < 0.4,
        rate=chance.choice([0.0, 0.0, 20.0]),
        window=20 * MINUTE if steps else MINUTE,
    )
