"""Text as PostgreSQL can keep it."""

from hypothesis import given
from hypothesis import strategies as st

from mesh.nul_text import meant, written

TEXTS = st.text(st.sampled_from("\0\\0a"), max_size=12) | st.text()


@given(TEXTS)
def test_what_is_written_is_meant(text: str) -> None:
    assert "\0" not in written(text)
    assert meant(written(text)) == text


@given(TEXTS, TEXTS)
def test_different_texts_are_written_differently(one: str, other: str) -> None:
    assert (written(one) == written(other)) is (one == other)


def test_plain_text_stays_as_it_is() -> None:
    assert written("SMTP_451 ü") == "SMTP_451 ü"
