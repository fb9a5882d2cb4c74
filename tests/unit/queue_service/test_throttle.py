from hypothesis import given
from hypothesis import strategies as st

from mesh.clock import SECOND
from queue_service.throttle import Throttle


def test_one_a_second_is_one_a_second() -> None:
    throttle, now, out = Throttle(1.0, 0), 0, 0
    while now <= 10 * SECOND:
        if throttle.available(now):
            throttle.take(1)
            out += 1
        now += max(1, throttle.wait)

    assert out == 11


@given(st.floats(0.01, 5000), st.lists(st.integers(1, SECOND), min_size=1, max_size=200))
def test_no_stretch_of_time_sees_more_than_the_rate_and_a_tenth_of_a_second(rate: float, waits: list[int]) -> None:
    throttle, now, out = Throttle(rate, 0), 0, 0
    for wait in waits:
        now += wait
        allowed = throttle.available(now)
        throttle.take(allowed)
        out += allowed

    assert out <= rate * now / SECOND + max(1, rate / 10) + 1


def test_the_smallest_rate_there_is_does_no_harm() -> None:
    throttle = Throttle(5e-324, 0)
    throttle.take(throttle.available(0))

    assert throttle.available(SECOND) == 0
    assert throttle.wait > SECOND
