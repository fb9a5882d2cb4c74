from email import policy

import pytest

from email_service.bulk_headers import WholeHeader, bulk_headers
from email_service.content import Newsletter
from tests.support.letters import CONFIRMATION, letter, parsed


def test_a_newsletter_can_be_unsubscribed_with_a_single_click() -> None:
    message = parsed(letter(Newsletter("Head", "body", "https://example.org/u?r=7")))

    assert message["List-Unsubscribe"] == "<https://example.org/u?r=7>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message["List-Id"] == "<newsletter.example.org>"


def test_a_single_click_is_not_offered_over_plain_http() -> None:
    message = parsed(letter(Newsletter("Head", "body", "http://example.org/u?r=7")))

    assert message["List-Unsubscribe"] == "<http://example.org/u?r=7>"
    assert message["List-Unsubscribe-Post"] is None


def test_a_host_beyond_ascii_goes_out_in_its_ascii_form() -> None:
    headers = {
        header.name: str(header) for header in bulk_headers(Newsletter("H", "b", "https://bücher.example/"), "x")
    }

    assert headers["List-Unsubscribe"] == "<https://xn--bcher-kva.example/>"


def test_mail_that_is_no_bulk_says_nothing_of_a_list() -> None:
    assert [name for name in parsed(letter(CONFIRMATION)) if name.startswith("List-")] == []


def test_a_value_goes_out_on_one_line_up_to_the_limit_of_a_line() -> None:
    fits, too_long = WholeHeader("X", "a" * 990), WholeHeader("X", "a" * 2_000)

    assert fits.fold(policy=policy.SMTP) == f"X: {'a' * 990}\r\n"
    lines = too_long.fold(policy=policy.SMTP).split("\r\n")
    assert [len(line) <= 998 for line in lines] == [True] * 4
    assert "".join(line.strip() for line in lines) == f"X: {'a' * 2_000}"


@pytest.mark.parametrize("value", ["ü", "a\r\nBcc: b", "a\0"])
def test_a_value_that_cannot_go_out_whole_is_a_mistake(value: str) -> None:
    with pytest.raises(AssertionError, match="a whole header is"):
        WholeHeader("X", value)
