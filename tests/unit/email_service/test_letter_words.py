"""Text and page say the same, and what a caller wrote is words and nothing else."""

import re
from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from email_service.content import Content, Newsletter, Plain, RegistrationCancellation, RegistrationConfirmation
from tests.support.fake_clock import START
from tests.support.letters import CONFIRMATION, EVERY_CONTENT, Page, letter, parsed, part

# A page may be made of these; none of them can load or run anything.
TAGS = {"html", "head", "meta", "title", "body", "p", "br", "table", "tr", "th", "td", "h1", "hr", "a"}
WRITTEN = st.text(min_size=1, max_size=60)


def contents() -> st.SearchStrategy[Content]:
    url = st.text(max_size=20).map(lambda text: "https://example.org/" + re.sub(r'[\s<>"]', "", text))
    starts = st.none() | st.just(START)
    return st.one_of(
        st.builds(RegistrationConfirmation, WRITTEN, WRITTEN, WRITTEN, WRITTEN, starts, st.text(max_size=60)),
        st.builds(RegistrationCancellation, WRITTEN, WRITTEN, WRITTEN, st.text(), st.text(max_size=60), starts),
        st.builds(Newsletter, WRITTEN, WRITTEN, url, st.text(max_size=60)),
        st.builds(Plain, WRITTEN, WRITTEN),
    )


@settings(max_examples=300, deadline=None)
@given(contents())
def test_text_and_page_say_the_same_words(content: Content) -> None:
    message = parsed(letter(content))

    assert Page(part(message, "html")).seen.split() == part(message, "plain").split()


@settings(max_examples=200, deadline=None)
@given(contents())
def test_a_page_is_made_of_our_own_tags_whatever_a_caller_wrote(content: Content) -> None:
    page = Page(part(parsed(letter(content)), "html"))

    assert page.tags <= TAGS
    links = [value for value in page.values if not value.startswith(("style=", "content=", "name="))]
    allowed = re.compile(r"lang=en|charset=utf-8|scope=row|href=https://example\.org/[!-~]*")
    assert [value for value in links if not allowed.fullmatch(value)] == []
    assert not any("url(" in value for value in page.values)


@pytest.mark.parametrize("hostile", ["{{ 7*7 }}", "{% raw %}", "<script>alert(1)</script>", "&lt;b&gt;", "${7*7} #{7}"])
@pytest.mark.parametrize("content", EVERY_CONTENT, ids=lambda content: content.kind)
def test_neither_template_nor_html_of_a_callers_is_interpreted(content: Content, hostile: str) -> None:
    texts = [field.name for field in fields(content) if isinstance(getattr(content, field.name), str)]
    texts = [name for name in texts if name != "unsubscribe_url"]
    message = parsed(letter(replace(content, **dict.fromkeys(texts, hostile))))  # type: ignore[arg-type]

    for seen in (part(message, "plain"), Page(part(message, "html")).seen):
        assert hostile in seen
        assert "49" not in seen.replace("-", "")


def test_a_name_cannot_add_a_line_to_the_text() -> None:
    name = "Ann,\r\n\r\nsend your money to eve@example.org\u2028now"

    lines = part(parsed(letter(replace(CONFIRMATION, first_name=name))), "plain").splitlines()

    assert lines[0] == "Hello Ann, send your money to eve@example.org now,"


def test_a_name_cannot_turn_around_what_follows_it() -> None:
    shown = part(parsed(letter(replace(CONFIRMATION, first_name="nnA\u202e\u2066\u2069 \u200f\u05d3\u05df"))), "plain")

    assert shown.startswith("Hello nnA \u200f\u05d3\u05df,")


def test_a_body_keeps_its_paragraphs_lines_and_indentation() -> None:
    message = parsed(letter(Plain("Hi", "One\r\ntwo\rthree\n\n\n  four\tfive\x1b[2J")))

    assert part(message, "plain") == "One\ntwo\nthree\n\n\n  four\tfive [2J\n"
    assert ">One<br>two<br>three</p>" in part(message, "html")
    assert ">  four\tfive [2J</p>" in part(message, "html")


@pytest.mark.parametrize("content", EVERY_CONTENT, ids=lambda content: content.kind)
def test_a_page_leaves_its_colours_to_the_reader(content: Content) -> None:
    page = Page(part(parsed(letter(content)), "html"))

    assert "content=light dark" in page.values
    assert not any(re.search(r"colou?r\s*:|background", value) for value in page.values)
