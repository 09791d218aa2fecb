"""Secrets in error messages are masked before they are kept; plain words are left alone."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import islice

import pytest
from hostile import hostile_texts
from hypothesis import example, given
from hypothesis import strategies as st

from ledger import InvalidCursorError, RecordError, ResetCursor
from ledger.law import masking
from ledger.law.fields import MESSAGE_LENGTH_MAX, message
from support.cursors import JOBS
from support.places import TOP
from support.plain_texts import PLAIN
from support.secret_texts import SECRETS
from support.secret_values import JWT, TOKENS, drawn, pem

SHOWN = masking.WINDOW - masking.MARGIN
"""Nothing behind so many characters is ever shown."""


def masked(text: str) -> str:
    """Return what is kept of a message, having looked at what holds for every one."""
    kept = message(text, "message")
    assert len(kept) <= MESSAGE_LENGTH_MAX
    assert message(kept, "message") == kept
    kept.encode()
    return kept


@pytest.mark.parametrize(("text", "secrets"), SECRETS, ids=range(len(SECRETS)))
def test_a_secret_is_gone(text: str, secrets: list[str]) -> None:
    assert all(secret in text for secret in secrets)
    kept = masked(text)
    assert [secret for secret in secrets if secret in kept] == []
    assert masking.MASK in kept


@pytest.mark.parametrize("text", PLAIN, ids=range(len(PLAIN)))
def test_a_text_without_a_secret_is_left_as_it_is(text: str) -> None:
    assert masked(text) == text.strip()


def test_there_are_enough_texts_of_both_kinds_to_say_so() -> None:
    assert len({text for text, _ in SECRETS}) >= 250
    assert len(set(PLAIN)) >= 250


@pytest.mark.parametrize("without", masking.RULES, ids=lambda rule: rule.name)
def test_no_rule_can_be_left_out(without: masking.Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    rest = tuple(rule for rule in masking.RULES if rule is not without)
    monkeypatch.setattr(masking.cut, "RULES", rest)
    assert any(
        secret in message(text, "message") for text, secrets in SECRETS for secret in secrets
    )


def test_what_stands_around_a_secret_is_kept() -> None:
    for said, kept in {
        "login failed, password=hunter2 for ines": "login failed, password=*** for ines",
        "https://ines:hunter2@example.org/x refused": "https://ines:***@example.org/x refused",
        "https://t0ken@example.org/x refused": "https://***@example.org/x refused",
        "Authorization: Digest a=b, c=d\nHost: x": "Authorization: Digest ***\nHost: x",
        "host=db password='a b' user=x": "host=db password=*** user=x",
        "Server=db;Password=a b;Timeout=3": "Server=db;Password=***;Timeout=3",
        "GET /?page=2&token=abc&x=1 401": "GET /?page=2&token=***&x=1 401",
        'password: "a b", user: ines': "password: ***, user: ines",
        "password: two words\nuser: ines": "password: ***\nuser: ines",
        "the password: hunter2 was refused": "the password: *** was refused",
    }.items():
        assert masked(said) == kept


# --- the cut ---

FILLERS = st.sampled_from(["x", "word ", "é", "a=b ", "{'a': 1} ", "\n", "password=*** ", "😀 "])
ANY = st.text(max_size=40)


@given(
    st.sampled_from(SECRETS),
    FILLERS,
    st.integers(2_000, 2_100),
    st.tuples(ANY, ANY),
    st.integers(0, 5_000),
)
def test_no_part_of_a_secret_is_left_wherever_the_cut_is(
    case: tuple[str, list[str]], filler: str, offset: int, around: tuple[str, str], more: int
) -> None:
    text, secrets = case
    before, after = around
    start = (filler * offset)[: offset - len(before)] + before
    kept = masked(f".{start}\n{text}\n{after}{'y ' * more}")
    assert [secret for secret in secrets if secret in kept] == []
    # What the cut leaves of one must not be most of it either.
    halves = [secret[: len(secret) // 2 + 3] for secret in secrets if len(secret) >= 12]
    assert [half for half in halves if half in kept] == []


@given(
    st.sampled_from(SECRETS),
    st.sampled_from([SHOWN, masking.WINDOW]),
    st.integers(-200, 40),
    ANY,
)
def test_text_that_masks_move_into_the_kept_part_is_masked_too(
    case: tuple[str, list[str]], around: int, offset: int, after: str
) -> None:
    text, secrets = case
    first = "password=" + "s" * (around + offset - 10)
    kept = masked(f"{first}\n{text}\n{after}{'y ' * 3_000}")
    assert "sss" not in kept
    assert [secret for secret in secrets if secret in kept] == []


@pytest.mark.slow("it masks very long texts")
@pytest.mark.parametrize("shown", range(4, 44, 4))
def test_a_token_of_which_only_the_beginning_is_looked_at_is_not_shown(shown: int) -> None:
    for name, token in TOKENS.items():
        first = "password=" + "s" * (masking.WINDOW - shown - 10)
        kept = masked(f"{first} {token} {'y ' * 3_000}")
        assert token[:4] not in kept, name


LONG = drawn(20_000, "abcdefghijkABCDEFGHIJK0123456789", "long")
LONG_SECRETS = [
    f"password={LONG} rest",
    f'password="{LONG}" rest',
    f"'token': '{LONG[:4_000]} {LONG[4_000:]}'",
    f"Authorization: Digest {LONG}\nrest",
    f"Authorization: Bearer {LONG} rest",
    f"Cookie: a={LONG[:4_000]}; b={LONG[4_000:]}",
    f"https://ines:{LONG}@example.org/",
    f"https://{LONG}@example.org/",
    f"https://ines:{LONG[:3_000]}/{LONG[3_000:]}@example.org/",
    f"eyJ{LONG}.{LONG}.{LONG}",
    f"{JWT}{LONG}",
    "\n".join(pem("RSA ", 400)),
    "\\n".join(pem("", 400)),
    f"ya29.{LONG}",
    f"<password>{LONG}</password>",
    f"mysql -p{LONG} rest",
]


@pytest.mark.parametrize("text", LONG_SECRETS, ids=range(len(LONG_SECRETS)))
@pytest.mark.parametrize(
    "offset",
    [
        *(0, 2_047, masking.WINDOW - 30),
        *(
            pytest.param(offset, marks=pytest.mark.slow("other places of the same texts"))
            for offset in (1_000, 2_000, 2_030, SHOWN - 30)
        ),
    ],
)
def test_a_secret_that_is_longer_than_what_is_looked_at_is_masked(text: str, offset: int) -> None:
    start = "password=" + "s" * (offset - 10) + " " if offset > 2_100 else "word " * (offset // 5)
    kept = masked(start + "\n" + text)
    pieces = {
        piece[at : at + 16]
        for piece in re.findall(r"[\w+/]{60,}", text.replace("\\n", "\n"))
        for at in (8, 20, 40)
    }
    assert pieces
    assert [piece for piece in pieces if piece in kept] == []


def test_a_message_is_cut_at_its_bound_and_says_so() -> None:
    assert masked("x" * 2_048) == "x" * 2_048
    assert masked("x" * 2_049) == "x" * 2_047 + "…"
    assert masked(" \n" + "x" * 3_000_000) == "x" * 2_047 + "…"
    assert masked("\0\ud800" * 5_000) == "\ufffd" * 2_047 + "…"
    assert masked("password=" + "s" * 5_000_000 + " tail") == "password=***…"
    assert masked("password=" + "s" * 5_000 + " tail") == "password=*** tail"


# --- any text ---

PARTS = st.lists(
    st.sampled_from(sorted({literal for rule in masking.RULES for literal in rule.literals}))
    | st.sampled_from(
        [*"=:@/?&;,.\"'`\\<>[](){}*…-_%“”\n\t 0aA", "***", "://", "eyJ", "-----BEGIN "]
    )
    | st.text(max_size=6),
    max_size=30,
).map("".join)


@given(
    st.text() | PARTS | st.tuples(PARTS, st.integers(1, 400)).map(lambda pair: pair[0] * pair[1])
)
@example("İ" * 3_000 + "password=hunter2")
@example("ſ" * 50 + "paſſword=x")
def test_no_text_is_too_strange_to_be_masked_and_twice_is_once(text: str) -> None:
    try:
        masked(text)
    except InvalidCursorError:
        assert not text.strip()


@pytest.mark.slow("it masks very long texts")
def test_a_long_text_is_masked_by_its_beginning_alone() -> None:
    # One at a time: all of them are more than a gigabyte.
    for name, text in islice(hostile_texts(), 0, None, 12):
        if text.strip():
            beginning = text.strip()[: masking.WINDOW]
            assert masked(text) == masked(beginning + "!!"), name


# --- what is masked, and what is not ---


def test_reasons_actors_and_metadata_are_kept_as_they_were_given() -> None:
    said = "password=hunter2"
    asked = ResetCursor(JOBS, 7, reason=said, actor=said, metadata={said: said})
    assert (asked.reason, asked.actor, asked.metadata) == (said, said, {said: said})
    assert RecordError(JOBS, said).last_error == "password=***"


def test_the_page_lists_the_rules_that_there_are() -> None:
    page = (TOP / "docs/masking.md").read_text("utf-8")
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", page, re.MULTILINE)[2:]
    assert rows == [(rule.name, rule.recognises) for rule in masking.RULES]


def test_importing_the_ledger_makes_no_patterns() -> None:
    code = "import sys, ledger; ledger.open; ledger.Ledger; print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "'ledger.law.fields'" in done.stdout
    assert "ledger.law.masking" not in done.stdout
