"""What is measured: how many runners, in how many rounds, against which mail server."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from stage.manners import Manners

MODES = ("SEQUENTIAL", "BACKGROUND", "QUEUED")


@dataclass(frozen=True)
class Plan:
    """The size of a run.

    Args:
        rounds: each measures every mode once, in another order.
        runners: who register in one mode of one round.
        clients: of them at the same time; each waits for its answer before the next runner's turn.
        warm_up: runners of each mode before the first round, who do not count.
        patience: seconds after the last answer in which every confirmation should be decided.
    """

    rounds: int
    runners: int
    clients: int
    warm_up: int
    patience: float
    manners: Manners


FULL = Plan(
    rounds=3,
    runners=200,
    clients=5,
    warm_up=20,
    patience=60.0,
    manners=Manners(seconds_a_mail=0.1, share_refused=0.1, seed=11),
)
QUICK = replace(FULL, rounds=1, runners=20, warm_up=0, manners=replace(FULL.manners, seconds_a_mail=0.02))


def rounds(plan: Plan) -> Iterator[tuple[int, str]]:
    """Round and mode, in the order in which they are measured: no mode always comes first."""
    for number in range(1, plan.rounds + 1):
        shift = (number - 1) % len(MODES)
        for mode in MODES[shift:] + MODES[:shift]:
            yield number, mode


def address(mode: str, number: int, runner: int) -> str:
    """A runner's email address; the part before the @ is the same in every mode, so the mail server's whims are too."""
    return f"runner-{number}-{runner}@{mode.lower()}.example.org"
