"""Sentences end their lines between words, and lose nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from wcwidth import wcswidth

from ledger.cli.shown.sentences import wrapped
from ledger.log.text import visible

words = st.text(st.characters(exclude_categories=["Cs", "Z"]), min_size=1, max_size=12).map(visible)


@given(st.lists(words, min_size=1, max_size=40), st.integers(20, 120), st.integers(0, 8))
def test_lines_fit_and_hold_every_word_in_order(said: list[str], width: int, hanging: int) -> None:
    lines = wrapped(" ".join(said), width, hanging)
    assert " ".join(lines).split() == " ".join(said).split()
    for line in lines:
        assert max(wcswidth(line), 0) <= width or len(line.split()) == 1
    assert all(line.startswith(" " * hanging) for line in lines[1:])


def test_a_command_stays_on_one_line() -> None:
    said = "Nothing covers them: run cursor-ledger entries --newest-first -n 10, and look."
    assert wrapped(said, 60) == [
        "Nothing covers them: run",
        "cursor-ledger entries --newest-first -n 10, and look.",
    ]
    # There is no room for all of it.
    assert wrapped(said, 30)[1:3] == ["cursor-ledger entries", "--newest-first -n 10, and"]


def test_a_name_that_is_longer_than_the_line_is_not_broken() -> None:
    name = "n" * 90
    assert wrapped(f"the cursor {name} is at 7", 40, 2) == ["the cursor", f"  {name}", "  is at 7"]


def test_two_blanks_between_parts_are_kept_within_a_line() -> None:
    assert wrapped("reason  lost two", 40) == ["reason  lost two"]
    assert wrapped("reason  lost two", 12, 2) == ["reason  lost", "  two"]
