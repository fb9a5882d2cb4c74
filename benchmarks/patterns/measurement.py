"""What is made of what was seen: figures of one mode in one round, and of a mode over all rounds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

#: The share of the runners up to which emails a second are counted: what waits for a retry is not yet missing then, and
#: a mode that loses one in ten gets that far as well.
COUNTED_SHARE = 0.8


@dataclass(frozen=True)
class Figures:
    """What is measured; times in seconds."""

    mode: str
    runners: int
    answer_p50: float
    answer_p99: float
    emails_a_second: float
    """The first four fifths of the runners, divided by the time from the first Register to the last of their mails."""
    last_email: float
    """From the first Register to the last mail that the mail server took."""
    with_email: int
    """Runners whose mail the mail server took."""
    twice: int
    """Runners of whom it took more than one."""
    tries: int
    """Mails that the mail server was asked to take."""
    failed: int
    """Registrations whose confirmation is FAILED."""
    undecided: int
    """Registrations still PENDING when patience ran out."""


@dataclass(frozen=True)
class Measurement(Figures):
    """One mode in one round."""

    number: int


@dataclass(frozen=True)
class Summary(Figures):
    """One mode over all rounds: medians of the times and rates, sums of the counts."""

    @property
    def share(self) -> float:
        """Of the runners, those who have their email."""
        return self.with_email / self.runners


def emails_a_second(taken: Sequence[float], runners: int, begun: float) -> float:
    """The rate of the first four fifths; ``taken`` has the ascending times of mails. 0: there were not so many."""
    counted = math.ceil(COUNTED_SHARE * runners)
    return counted / (taken[counted - 1] - begun) if len(taken) >= counted else 0.0


def summary(measurements: Sequence[Measurement]) -> Summary:
    """One mode's rounds in one line."""

    def middle(name: str) -> float:
        return float(median(getattr(each, name) for each in measurements))

    def total(name: str) -> int:
        return sum(getattr(each, name) for each in measurements)

    return Summary(
        mode=measurements[0].mode,
        runners=total("runners"),
        answer_p50=middle("answer_p50"),
        answer_p99=middle("answer_p99"),
        emails_a_second=middle("emails_a_second"),
        last_email=middle("last_email"),
        with_email=total("with_email"),
        twice=total("twice"),
        tries=total("tries"),
        failed=total("failed"),
        undecided=total("undecided"),
    )
