"""What is shown of a target masks the same as before, in a time that grows with its length only."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.targets import shown
from support.depth import thorough

# The patterns that said first what is masked. Each of them is quadratic at least.
PATTERNS = (
    (re.compile(r"""(postgres\w*(?:\+\w+)?:/{0,2})[^'"\n]*@""", re.IGNORECASE), r"\1***@"),
    (re.compile(r"(:/{0,2}|//)[^\s@]*:?\S*@"), r"\1***@"),
    (re.compile(r"[^\s/:@'\"(]+:\*\*\*@"), "***@"),
    (
        re.compile(
            r"((?:pass\w*|pwd|secret|\w*_key|oauth_client_secret)\s*=\s*)"
            r"""('(?:[^'\\]|\\.)*'?|"[^"]*"?|[^\s;&'"]+)""",
            re.IGNORECASE,
        ),
        r"\1***",
    ),
)
PIECES = [
    *("postgres", "postgresql", "PO\u017fTGRES", "pass", "password", "pwd", "secret"),
    *("x_key", "_KEY", "oauth_client_secret", "***", "***@", ":***@", "a", "b1", "é", "host"),
    *"+:/@'\"\n \t\\=(;&?",
    *("//", "\u2028", "\x1c"),
]


def by_patterns(target: str) -> str:
    for pattern, mask in PATTERNS:
        target = pattern.sub(mask, target)
    return target


@pytest.mark.slow("it masks very long texts")
@settings(max_examples=thorough(20_000, 500))
@given(target=st.lists(st.sampled_from(PIECES), max_size=16).map("".join))
def test_it_masks_what_the_patterns_mask(target: str) -> None:
    assert shown(target) == by_patterns(target)


@given(target=st.text(max_size=40))
def test_any_text_is_masked_as_by_the_patterns(target: str) -> None:
    assert shown(target) == by_patterns(target)


PARTS = [
    *("a", ":", "//", "a:", "@", ":@", "postgres", "postgres:", "postgres+a", "pass", "pwd "),
    *(
        "x_key",
        "secret = ",
        "pass='",
        "pass='\\",
        'pass="',
        "a:***",
        ":***@",
        " ",
        "\n",
        "pass =\t",
    ),
]
ENDS: dict[str, Callable[[str], str]] = {
    "alone": lambda long: long,
    "before the end of an authority": lambda long: long + "@host",
    "behind a scheme": lambda long: "postgres://" + long,
    "behind a name": lambda long: "password=" + long,
}


@pytest.mark.slow("it masks very long texts")
@pytest.mark.parametrize("end", ENDS)
def test_a_very_long_text_does_not_take_longer_than_its_length(end: str) -> None:
    """Of 100,000 characters, the patterns would not have been done before the night."""
    for part in PARTS:
        long = ENDS[end](part * (100_000 // len(part)))
        assert len(shown(long)) <= len(long) * 3
