"""What all reports share: findings, tolerances, and blocks with the same content in text and in HTML."""

from __future__ import annotations

import numpy as np
import pytest

from coursekit.reporting import (
    RIGHT,
    WRONG,
    Finding,
    Found,
    Marked,
    Paragraph,
    Preformatted,
    Renderable,
    Section,
    Tolerance,
    entries_are,
)

EVIL = "<b>\x1b[31m'&"


def test_a_finding_names_the_gradients_and_the_share_that_it_explains() -> None:
    finding = Finding("sign", "It is flipped.", explains=0.99951, of=("W", "b"))
    assert finding.sentence() == "dW and db: It is flipped."
    assert finding.label() == "sign, explains 99.95 %"
    assert Finding("sign", "It is flipped.").label() == "sign"


def test_a_record_keeps_the_code_and_a_printable_message() -> None:
    record = Finding("error", "a\x1bb", where=("line 1",)).to_dict()
    assert record == {"code": "error", "message": "a\N{REPLACEMENT CHARACTER}b"}


def test_an_entry_may_be_off_a_share_of_itself_plus_a_share_of_the_largest() -> None:
    allowed = Tolerance(1e-2, 1e-3).allowed(np.array([0.0, 10.0, -100.0, np.inf]))
    np.testing.assert_allclose(allowed, [0.1, 0.2, 1.1, 0.1])
    assert Tolerance(0.0, 1e-3, least=0.5).floor(np.array([1.0, np.nan])) == 0.5
    assert Tolerance(0.0, 1e-3, least=0.5).floor(np.zeros(0)) == 0.5


@pytest.mark.parametrize(("off", "agree"), [(0.9e-5, True), (1.2e-5, False)])
def test_arrays_agree_within_the_tolerance(off: float, agree: bool) -> None:
    right = np.array([1.0, np.nan])
    assert Tolerance().agree(right + off, right) is agree


def test_a_section_says_the_same_in_text_and_in_html() -> None:
    blocks = (
        Found(Finding("half", "Half of it.")),
        Paragraph((Marked("x", "em", "'"), " is here"), indent="  "),
        Preformatted(("x = 1", "y = 2"), indent="    "),
        Preformatted(()),
    )
    section = Section(WRONG, "Not right", blocks)
    assert section.text() == "Not right\nFinding: Half of it. [half]\n  'x' is here\n    x = 1\n    y = 2"
    html = section.html()
    for part in ("✗", "Not right", "<strong>Half of it.</strong> <code>half</code>", "<em>x</em> is here", ">x = 1\ny"):
        assert part in html
    assert html.count("<pre") == 1, "an empty block is left out"


def test_everything_is_escaped_and_printable() -> None:
    blocks = (Found(Finding("evil", EVIL, of=(EVIL,))), Paragraph((EVIL, Marked(EVIL, "code"))), Preformatted((EVIL,)))
    section = Section(RIGHT, EVIL, blocks)
    assert "<b>" not in section.html()
    assert "\x1b" not in section.html()
    assert "\x1b" not in section.text()


def test_a_renderable_is_shown_as_its_section() -> None:
    class Report(Renderable):
        def section(self) -> Section:
            return Section(RIGHT, "Right.")

    assert repr(Report()) == "Right."
    assert Report()._repr_mimebundle_() == {"text/plain": "Right.", "text/html": Report().html()}


def test_entries_are_counted_in_words() -> None:
    assert entries_are(np.eye(2, dtype=bool), "its ") == "2 of its 4 entries are"
