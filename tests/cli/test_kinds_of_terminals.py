"""Terminals with little colour, none, or few characters; and those on a light background."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from wcwidth import wcswidth

import ledger
from ledger import CursorKey, Outcome
from support.clock import Clock
from support.screens import COLOURS, plain, screens

NOW = datetime(2026, 5, 5, 18, tzinfo=UTC)
ALL = [
    ("history", "mailer", "orders"),
    ("list",),
    ("lag",),
    ("diff", "1"),
    ("stalls",),
    ("explain", "mailer", "orders", "42"),
    ("timeline", "mailer", "orders"),
    ("reset", "mailer", "orders", "--to", "3", "--reason", "lost – again"),
    ("tail",),
]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("terminals") / "l.db"
    clock = Clock()
    key = CursorKey("mailer", "orders")
    with ledger.open(place, actor="dispatcher@a-host-with-a-long-name", clock=clock) as book:
        book.advance(key, to=44)
        for _ in range(3):
            clock.tick(600)
            book.record_error(key, "HTTP 503 – the receiver × 3 … is down")
        book.reset(key, to=41, reason="the receiver lost 42 → 44", actor="ines")
        book.advance(key, to=44, outcome=Outcome.SKIPPED)
        book.record_error(CursorKey("注文処理システム", "orders"), "注文が失敗しました")
        book.heads.record("orders", "", 50)
    return place


def _shown(file: Path, **environment: Any) -> str:
    return "".join(screens(file, ALL, [60, 80], now=NOW, **environment).values())


def _colours(screen: str) -> set[int]:
    found = {
        int(n) for code in re.findall(r"\x1b\[([0-9;]*)m", screen) for n in code.split(";") if n
    }
    return found - {0}


def test_colours_can_be_read_on_light_and_on_dark_backgrounds(file: Path) -> None:
    """The background is never set, and neither black, white nor a grey is a colour of a text."""
    dark, light = _shown(file, COLORFGBG="15;0"), _shown(file, COLORFGBG="0;15")
    red, green, yellow, blue, magenta, cyan = range(31, 37)
    assert _colours(dark) <= {red, green, yellow, cyan}
    assert _colours(dark) >= {red, yellow}
    assert _colours(light) <= {red, green, blue, magenta}
    assert _colours(light) >= {red, magenta}
    assert plain(dark) == plain(light)
    assert _shown(file) == dark


@pytest.mark.parametrize("none", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_terminal_without_colours_gets_none_and_loses_nothing(
    file: Path, none: dict[str, str]
) -> None:
    bare = _shown(file, **none)
    assert "\x1b" not in bare
    assert bare == plain(_shown(file))


def test_no_colour_says_what_no_word_says(file: Path) -> None:
    """What is red or yellow says in words why it is."""
    shown = _shown(file)
    marked = set(re.findall(r"\x1b\[3[13]m(.*?)\x1b", shown))
    assert marked
    assert all(re.search(r"\w|×", text) for text in marked)


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-1", "cp1252"])
def test_an_output_that_lacks_characters_shows_others_and_stays_in_line(
    file: Path, encoding: str
) -> None:
    found = screens(file, ALL, [60, 80], now=NOW, PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    for (command, width), screen in found.items():
        shown = COLOURS.sub("", screen)
        if encoding == "ascii":
            assert shown.isascii(), command
        if command[0] in ("history", "list", "lag", "diff", "stalls"):
            assert max(map(wcswidth, shown.splitlines()), default=0) <= width, shown
    history = found[ALL[0], 80]
    assert "0 -> 44" in history
    assert "\\u2192" not in "".join(found.values())
    assert "~" in "".join(found.values())
    if encoding == "ascii":
        assert "failed 3x" in found[ALL[4], 80]
        assert "\\u6ce8" in found[ALL[1], 80]
        assert re.search(r"^ *44\+", found[ALL[6], 80], re.MULTILINE)


def test_the_plain_locale_of_c_is_no_reason_to_fail(file: Path) -> None:
    for utf8 in ("0", "1"):
        shown = _shown(file, LANG="C", LC_ALL="C", PYTHONUTF8=utf8, PYTHONCOERCECLOCALE="0")
        assert ("→" in shown) is (utf8 == "1")
        assert "Traceback" not in shown
