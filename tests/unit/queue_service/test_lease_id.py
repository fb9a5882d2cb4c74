import pytest
from hypothesis import given
from hypothesis import strategies as st

from queue_service.lease_id import LeaseIds
from queue_service.message import Lease

IDS = LeaseIds(b"s" * 16)
LEASE = Lease("01a20a69-f94f-7000-90bd-ab83a55ae53a", 7)


def test_a_lease_id_carries_message_and_delivery() -> None:
    assert IDS.decode(IDS.encode(3, LEASE), 3) == LEASE


def test_of_another_queue_it_is_unknown() -> None:
    assert IDS.decode(IDS.encode(3, LEASE), 4) is None


def test_of_another_store_it_is_unknown() -> None:
    assert LeaseIds(b"t" * 16).decode(IDS.encode(3, LEASE), 3) is None


@pytest.mark.parametrize("text", ["", "x", "AAAA", "=" * 40, "ü" * 40, "A" * 56, "A" * 10_000, "\x00"])
def test_what_is_malformed_is_unknown(text: str) -> None:
    assert IDS.decode(text, 3) is None


@given(st.integers(0, 47), st.sampled_from("ABCDEFGHabcdefgh0123456789-_"))
def test_an_id_with_any_letter_changed_is_unknown(position: int, letter: str) -> None:
    lease_id = IDS.encode(3, LEASE)
    changed = lease_id[:position] + letter + lease_id[position + 1 :]

    assert changed == lease_id or IDS.decode(changed, 3) is None


@given(st.text(max_size=80))
def test_no_text_makes_it_fail(text: str) -> None:
    assert IDS.decode(text, 3) is None
