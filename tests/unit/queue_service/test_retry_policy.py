from hypothesis import given
from hypothesis import strategies as st

from mesh.clock import SECOND
from queue_service.queue_definition import RetryPolicy
from queue_service.retry_policy import is_final, retry_delay, spread_of

PLAIN = RetryPolicy(max_retries=3, initial_delay=SECOND, multiplier=2.0, max_delay=10 * SECOND, jitter=0.0)


def test_retries_plus_one_failures_are_final() -> None:
    assert [is_final(PLAIN, failures) for failures in (1, 2, 3, 4)] == [False, False, False, True]
    assert is_final(RetryPolicy(max_retries=0), 1)


def test_the_delay_doubles_up_to_the_longest() -> None:
    assert [retry_delay(PLAIN, failures, 0.5) // SECOND for failures in range(1, 7)] == [1, 2, 4, 8, 10, 10]


def test_a_multiplier_of_one_is_constant() -> None:
    constant = RetryPolicy(initial_delay=5 * SECOND, multiplier=1.0, jitter=0.0)

    assert {retry_delay(constant, failures, 0.5) for failures in range(1, 50)} == {5 * SECOND}


def test_a_thousand_failures_do_not_overflow() -> None:
    steep = RetryPolicy(max_retries=1000, multiplier=100.0, max_delay=7 * 86_400 * SECOND, jitter=0.0)

    assert retry_delay(steep, 1001, 0.5) == 7 * 86_400 * SECOND


@given(st.integers(1, 1001), st.floats(0, 1, exclude_max=True), st.floats(0, 1))
def test_jitter_stays_within_its_share(failures: int, spread: float, jitter: float) -> None:
    policy = RetryPolicy(initial_delay=SECOND, multiplier=1.0, jitter=jitter)

    delay = retry_delay(policy, failures, spread)

    assert (1 - jitter) * SECOND - 1 <= delay <= (1 + jitter) * SECOND + 1


def test_messages_and_failures_are_spread_evenly() -> None:
    spreads = [
        spread_of(f"01a20a69-f94f-7000-90bd-{number:012x}", failures) for number in range(1000) for failures in (1, 2)
    ]

    assert all(0 <= spread < 1 for spread in spreads)
    assert len(set(spreads)) == len(spreads)
    assert 0.45 < sum(spreads) / len(spreads) < 0.55
