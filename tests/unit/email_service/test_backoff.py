from datetime import timedelta

import pytest

from email_service.backoff import backoff


@pytest.mark.parametrize(
    ("attempts", "seconds"), [(0, 5), (1, 5), (2, 10), (3, 20), (7, 320), (8, 600), (9, 600), (2**31 - 1, 600)]
)
def test_waits_double_from_five_seconds_and_stop_at_ten_minutes(attempts: int, seconds: int) -> None:
    assert backoff(attempts) == timedelta(seconds=seconds)
