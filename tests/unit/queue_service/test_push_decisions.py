"""The breaker and what the end of a call means: pure decisions."""

from datetime import timedelta

import pytest

from mesh.clock import SECOND
from mesh.status import RemoteError
from queue_service.push.breaker import FIRST_WAIT, LONGEST_WAIT, Breaker
from queue_service.push.call_end import CallEnd
from queue_service.settlement import Ack, Reject, Release, Retry


class TestBreaker:
    def test_it_opens_at_the_first_call_that_reached_nobody(self) -> None:
        breaker = Breaker(0).failed("UNAVAILABLE", 100)

        assert (breaker.open, breaker.reason, breaker.change_time) == (True, "UNAVAILABLE", 100)
        assert breaker.probe_at == 100 + FIRST_WAIT

    def test_probes_in_vain_wait_longer_and_longer(self) -> None:
        breaker, waits = Breaker(0), []
        for _ in range(10):
            breaker = breaker.failed("x", breaker.probe_at)
            waits.append(breaker.wait)

        assert waits[:3] == [FIRST_WAIT, 2 * FIRST_WAIT, 4 * FIRST_WAIT]
        assert waits[-1] == LONGEST_WAIT
        assert breaker.change_time == 0

    def test_many_calls_that_break_at_once_are_one_outage(self) -> None:
        breaker = Breaker(0)
        for number in range(8):
            breaker = breaker.failed(f"call {number}", 100 + number)

        assert (breaker.wait, breaker.probe_at, breaker.change_time) == (FIRST_WAIT, 100 + FIRST_WAIT, 100)
        assert breaker.reason == "call 7"

    def test_probes_wait_longer_though_the_clock_was_set_back(self) -> None:
        opened = Breaker(0).failed("x", 3_600 * SECOND)
        again = opened.failed("x", SECOND)

        assert (again.wait, again.probe_at) == (2 * FIRST_WAIT, SECOND + 2 * FIRST_WAIT)

    def test_one_answer_closes_it(self) -> None:
        assert not Breaker(0).failed("x", 1).succeeded(5).open
        assert Breaker(0).failed("x", 1).succeeded(5).change_time == 5

    def test_an_answer_changes_nothing_while_it_is_closed(self) -> None:
        assert Breaker(0).succeeded(5) == Breaker(0)


def end(code: str, *, reason: str = "", delay: timedelta | None = None) -> CallEnd:
    return CallEnd(RemoteError(code, "text", reason, "", delay))


class TestCallEnd:
    def test_ok_acks_the_rest(self) -> None:
        assert CallEnd().of_batch(costs=True) == CallEnd().of_method(costs=True) == Ack()

    @pytest.mark.parametrize("code", ["UNAVAILABLE", "UNIMPLEMENTED", "UNAUTHENTICATED"])
    def test_a_target_that_was_not_reached_costs_nothing(self, code: str) -> None:
        assert end(code).unreached
        assert end(code).of_batch(costs=False) == end(code).of_method(costs=False) == Release()

    def test_only_what_a_killing_message_ends_with_costs_on_a_ready_channel(self) -> None:
        assert end("UNAVAILABLE").of_batch(costs=True) == Retry(None, "UNAVAILABLE", "text")
        assert end("UNIMPLEMENTED").of_batch(costs=True) == end("UNAUTHENTICATED").of_method(costs=True) == Release()

    def test_a_retry_info_beyond_the_limit_is_cut_to_it(self) -> None:
        week = 7 * 24 * 3600 * SECOND

        assert end("INTERNAL", delay=timedelta(days=36_500)).of_batch(costs=True) == Retry(week, "INTERNAL", "text")

    @pytest.mark.parametrize("code", ["UNAVAILABLE", "UNIMPLEMENTED", "UNAUTHENTICATED"])
    def test_with_an_error_info_it_is_the_handlers_own_answer(self, code: str) -> None:
        own = end(code, reason="SMTP_451", delay=timedelta(seconds=5))

        assert not own.unreached
        assert own.of_batch(costs=False) == Retry(5 * SECOND, code, "SMTP_451: text")

    def test_a_negative_delay_means_now(self) -> None:
        assert end("INTERNAL", delay=timedelta(seconds=-1)).of_batch(costs=True) == Retry(0, "INTERNAL", "text")

    @pytest.mark.parametrize("code", ["INVALID_ARGUMENT", "FAILED_PRECONDITION", "OUT_OF_RANGE"])
    def test_only_a_method_rejects_by_its_code(self, code: str) -> None:
        assert end(code).of_method(costs=True) == Reject(code, "text")
        assert end(code).of_batch(costs=True) == Retry(None, code, "text")

    def test_already_exists_is_done(self) -> None:
        assert end("ALREADY_EXISTS").of_method(costs=True) == Ack()
