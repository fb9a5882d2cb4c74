"""What a client decides without asking anybody: waits, what goes out together, what an exception means."""

from collections import deque
from dataclasses import dataclass
from datetime import timedelta

import pytest

from baton_client.backoff import FIRST, LAST, wait_after
from baton_client.gathering import MOST_BYTES, MOST_MESSAGES, gathered
from baton_client.outcome import Ack, Outcome, Reject, Release, Retry, cut, outcome_of
from baton_client.subscription import Subscription


class TestWaits:
    def test_they_grow_up_to_a_ceiling_and_are_drawn_below_it(self) -> None:
        longest = [wait_after(failures, lambda: 1 - 1e-12) for failures in range(1, 40)]

        assert longest[:3] == pytest.approx([FIRST, 2 * FIRST, 4 * FIRST])
        assert longest[-1] == pytest.approx(LAST)
        assert all(wait_after(failures, lambda: 0) > 0 for failures in range(1, 40))

    def test_they_are_never_shorter_than_what_was_asked_for(self) -> None:
        assert wait_after(1, lambda: 0, timedelta(seconds=7)) >= 7


@dataclass
class Waiting:
    name: str
    size: int = 1
    ordering_key: str = ""


def names(messages: "list[Waiting] | deque[Waiting]") -> str:
    return "".join(message.name for message in messages)


class TestGathering:
    def test_everything_goes_that_has_room(self) -> None:
        waiting = deque(Waiting(name) for name in "abc")

        assert names(gathered(waiting, ())) == "abc"
        assert not waiting

    def test_the_contracts_limits_end_a_send(self) -> None:
        many = deque(Waiting("x") for _ in range(MOST_MESSAGES + 5))
        large = deque([Waiting("a", MOST_BYTES - 10), Waiting("b", 11), Waiting("c", 1)])

        assert len(gathered(many, ())) == MOST_MESSAGES
        assert len(many) == 5
        assert (names(gathered(large, ())), names(large)) == ("a", "bc")

    def test_what_is_too_large_for_any_send_goes_alone_to_be_refused(self) -> None:
        assert names(gathered(deque([Waiting("a", MOST_BYTES + 1), Waiting("b")]), ())) == "a"

    def test_a_key_whose_send_is_under_way_waits_and_keeps_its_place(self) -> None:
        waiting = deque([Waiting("a", ordering_key="k"), Waiting("b"), Waiting("c", ordering_key="k"), Waiting("d")])

        assert names(gathered(waiting, {"k"}, most=1)) == "b"
        assert names(waiting) == "acd"
        assert names(gathered(waiting, ())) == "acd"


class TestOutcomes:
    def test_an_exception_is_a_retry_under_its_name(self) -> None:
        outcome = outcome_of(KeyError("colour"))

        retry = outcome.settlement("lease").retry
        assert (retry.code, retry.description, retry.HasField("delay")) == ("KeyError", "'colour'", False)

    @pytest.mark.parametrize("outcome", [Ack(), Retry(), Release(), Reject("NO")])
    def test_an_outcome_means_itself(self, outcome: Outcome) -> None:
        assert outcome_of(outcome) is outcome

    def test_zero_and_none_are_two_delays(self) -> None:
        assert not Retry().settlement("l").retry.HasField("delay")
        assert Retry(timedelta()).settlement("l").retry.HasField("delay")

    def test_what_the_contract_cuts_is_cut_on_the_way(self) -> None:
        reject = Reject("ü" * 100, "x" * 5000).settlement("l").reject

        assert (len(reject.code.encode()), len(reject.description)) == (64, 2048)
        assert cut("\ud800", 64) == "?"


class TestSubscriptions:
    def test_the_window_is_what_may_be_here(self) -> None:
        assert Subscription(queue="q", concurrency=4, prefetch=2).window == 6
        assert Subscription(queue="q", batched=True, concurrency=2, max_batch_size=50).window == 100

    @pytest.mark.parametrize(
        ("setting", "value"),
        [("concurrency", 0), ("prefetch", -1), ("max_batch_size", 1001), ("mode", "push")],
    )
    def test_a_setting_out_of_bounds_is_named(self, setting: str, value: object) -> None:
        with pytest.raises(ValueError, match=f"{setting} must be .*{value}"):
            Subscription(queue="q", **{setting: value})  # type: ignore[arg-type]
