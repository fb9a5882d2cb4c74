"""What the demo claims, checked against the mail server's log and the registrations: no service is believed alone."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from stage.mail_log import MailEvent

# Seconds before a kill in which a mail may have been taken without the service having noted it: SMTP leaves that gap to
# everyone. Such a mail comes again, under the same Message-ID.
_GAP = 1.0

Delays = Mapping[tuple[str, int], float]
"""By address and attempt, the seconds that the broker waits before it."""


@dataclass(frozen=True)
class Told:
    """A runner to the end: as planned, and as the sign-up service says.

    Args:
        tries: how often a mail to this address should have been tried; None: who knows.
        planned: how the confirmation should end.
        places: how many registrations the address has.
        end: how the confirmation of the last of them ended.
        mails: how many were sent, the one about a cancellation included.
        reason: why a mail failed.
    """

    name: str
    email: str
    tries: int | None
    planned: str
    places: int
    end: str
    mails: int
    reason: str


@dataclass(frozen=True)
class Claim:
    """A sentence, whether it holds, and what was found."""

    sentence: str
    holds: bool
    found: str


def one_place_each(runners: Sequence[Told]) -> Claim:
    """Nobody is registered twice, or not at all."""
    wrong = [f"{runner.name}: {runner.places}" for runner in runners if runner.places != 1]
    return _claim("every runner has one place", wrong, f"{len(runners)} runners")


def ended_as_planned(runners: Sequence[Told]) -> Claim:
    """What the chapters tell is what the registrations say."""
    wrong = [f"{runner.name}: {runner.end}, not {runner.planned}" for runner in runners if runner.end != runner.planned]
    ends = Counter(runner.end for runner in runners)
    found = ", ".join(f"{count} {end}" for end, count in ends.items())
    return _claim("what became of every confirmation is known, and as it should be", wrong, found)


def nobody_twice(runners: Sequence[Told], events: Sequence[MailEvent], kills: Sequence[float]) -> Claim:
    """No mail was taken twice; one that was taken in the instant before a kill is excused, and said."""
    names = {runner.email: runner.name for runner in runners}
    takes: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for event in events:
        if event.what == "taken":
            takes[names[event.recipient], event.message_id].append(event.time)
    again = {name: times for (name, _), times in takes.items() if len(times) > 1}
    wrong = [f"{name}: {len(times)}" for name, times in again.items() if not _excused(times, kills)]
    note = f"; taken unnoted before the kill, and again under the same Message-ID: {', '.join(again)}" if again else ""
    return _claim("nobody was mailed twice", wrong, f"{len(takes)} mails{note}")


def _excused(times: Sequence[float], kills: Sequence[float]) -> bool:
    return len(times) == 2 and any(kill - _GAP < times[0] <= kill < times[1] for kill in kills)


def log_agrees(runners: Sequence[Told], events: Sequence[MailEvent]) -> Claim:
    """As many mails were taken for each runner as the registration says."""
    mails: defaultdict[str, set[str]] = defaultdict(set)
    for event in events:
        if event.what == "taken":
            mails[event.recipient].add(event.message_id)
    wrong = [
        f"{runner.name}: {runner.mails} by the registration, {len(mails[runner.email])} by the log"
        for runner in runners
        if len(mails[runner.email]) != runner.mails
    ]
    return _claim(
        "the mail server's log agrees with every registration", wrong, f"{sum(map(len, mails.values()))} mails"
    )


def only_refused_again(runners: Sequence[Told], events: Sequence[MailEvent]) -> Claim:
    """A mail was tried as often as it was refused, and once more where it got through."""
    tries: Counter[str] = Counter()
    for event in events:
        tries[event.recipient] = max(tries[event.recipient], event.attempt)
    planned = [runner for runner in runners if runner.tries is not None]
    wrong = [
        f"{runner.name}: {tries[runner.email]}, not {runner.tries}"
        for runner in planned
        if tries[runner.email] != runner.tries
    ]
    again = [f"{runner.name} {runner.tries}" for runner in planned if runner.tries != 1]
    return _claim("only what was refused was tried again", wrong, f"tries: {', '.join(again)}; all others 1")


def never_early(runners: Sequence[Told], events: Sequence[MailEvent], delays: Delays) -> Claim:
    """No attempt came before the delay that the broker named was over."""
    # The second mail to one who stepped back is another one, about that, and waits for nothing.
    names = {runner.email: runner.name for runner in runners if runner.tries and runner.planned != "WITHDRAWN"}
    waits = {key: delay for key, delay in delays.items() if key[0] in names}
    first: dict[tuple[str, int], float] = {}
    last: dict[tuple[str, int], float] = {}
    for event in events:
        key = (event.recipient, event.attempt)
        first.setdefault(key, event.time)
        last[key] = event.time
    waited = {
        (email, attempt): first[email, attempt] - last[email, attempt - 1]
        for email, attempt in waits
        if (email, attempt) in first
    }
    wrong = [
        f"{names[email]}: after {waited[email, attempt]:.1f} s"
        for email, attempt in waited
        if waited[email, attempt] < waits[email, attempt]
    ]
    found = ", ".join(f"{names[key[0]]} {waits[key]:.1f} s, came after {waited[key]:.1f} s" for key in waited)
    return _claim("no attempt came before its delay was over", wrong or ([] if waited else ["none was seen"]), found)


def tied_to_runner(runners: Sequence[Told]) -> Claim:
    """Whose mail failed, and why, stands in the registration."""
    failed = [runner for runner in runners if runner.planned == "FAILED"]
    wrong = [runner.name for runner in failed if not runner.reason] or ([] if failed else ["nobody"])
    found = "; ".join(f"{runner.name}: {runner.reason}" for runner in failed)
    return _claim("a mail that failed is tied to its runner, with its reason", wrong, found)


def emptied(left: Mapping[str, int]) -> Claim:
    """Nothing waits in any queue."""
    return _claim(
        "the queues are empty", [f"{queue}: {count}" for queue, count in left.items() if count], ", ".join(left)
    )


def _claim(sentence: str, wrong: Iterable[str], found: str) -> Claim:
    told = ", ".join(wrong)
    return Claim(sentence, not told, told or found)
