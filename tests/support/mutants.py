"""Texts that are changed as a forger, a mail program or a tired hand changes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from random import Random

from hypothesis import strategies as st

__all__ = ["mutants"]

NUMBER = re.compile(r"(?<![\w+/=])\d+(?![\w+/=])")
BASE64 = re.compile(r"[A-Za-z0-9+/]{16,}={0,2}")
HEXADECIMAL = re.compile(r"\b[0-9a-f]{8,}\b")
WORD = re.compile(r"[^\s\"]+")

NUMBERS: tuple[Callable[[str], str], ...] = (
    lambda n: f"0{n}",
    lambda n: f"+{n}",
    lambda n: f"-{n}",
    lambda n: f"{n}.0",
    lambda n: f"{n}e0",
    lambda n: f"{n} ",
    lambda n: f"{n}_0",
    lambda n: n.translate({48 + digit: 0x660 + digit for digit in range(10)}),
    lambda n: str(int(n[:30]) + 1),
    lambda n: str(max(0, int(n[:30]) - 1)),
    lambda _: str(2**63),
    lambda _: str(2**64 + 1),
    lambda _: "9" * 5_000,
    lambda _: "",
)
ENCODED: tuple[Callable[[str], str], ...] = (
    lambda text: text.replace("+", "-").replace("/", "_"),
    lambda text: text.rstrip("="),
    lambda text: f"{text}=",
    lambda text: f"{text[:8]}\n{text[8:]}",
    lambda text: f"{text[:8]} {text[8:]}",
    lambda text: text[:-5],
    lambda text: text + text,
    lambda text: "A" * len(text),
    lambda _: "A" * 43 + "=",
    lambda text: text.swapcase(),
    lambda text: text[:-2] + chr(ord(text[-2]) + 1) + text[-1],
    lambda text: text[:3] + "\u0410" + text[4:],
)
WORDS: tuple[Callable[[str], str], ...] = (
    str.upper,
    lambda text: text[:-1],
    lambda text: f"{text}\u200b",
    lambda text: f"\u00a0{text}",
    lambda text: f"{text}\0",
    lambda text: f"{text}\ud800",
    lambda text: f"\u202e{text}",
    lambda _: "[" * 5_000,
    lambda _: "x" * 600,
    lambda _: "null",
    lambda _: "NaN",
    lambda _: "",
)
WHOLE: tuple[Callable[[str], str], ...] = (
    lambda text: text.replace("\n", "\r\n"),
    lambda text: text.replace("\n", "\r"),
    lambda text: text.replace("\n", "\u2028"),
    lambda text: f"\ufeff{text}",
    lambda text: f"\n{text}",
    lambda text: f"{text}\n",
    lambda text: text.rstrip("\n"),
    lambda text: text + text,
    lambda text: text.replace("\n\n", "\n", 1),
    lambda text: text.replace("\n\n", "\n\n\n", 1),
    lambda text: text.replace("\u2014", "-"),
    lambda text: text[: len(text) // 2],
    lambda text: text.replace(":", ": "),
    lambda text: text.replace(",", ", "),
    lambda text: text.replace("/", "\\/"),
    lambda _: "",
)


def in_one(pattern: re.Pattern[str], ways: Sequence[Callable[[str], str]]) -> Change:
    def change(text: str, chance: Random) -> str:
        found = list(pattern.finditer(text))
        if not found:
            return text
        one = chance.choice(found)
        return text[: one.start()] + chance.choice(ways)(one[0]) + text[one.end() :]

    return change


def in_lines(text: str, chance: Random) -> str:
    """Leave a line out, repeat it, exchange two, or move one to another place."""
    lines = text.splitlines(keepends=True) or [""]
    one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    match chance.randrange(5):
        case 0:
            del lines[one]
        case 1:
            lines.insert(other, lines[one])
        case 2:
            lines[one], lines[other] = lines[other], lines[one]
        case 3:
            lines[one:one] = [lines[one]] * 70
        case _:
            lines[one] = lines[one].rstrip("\n") + " \n"
    return "".join(lines)


def in_bytes(text: str, chance: Random) -> str:
    """Flip a bit, cut something out, or put something in."""
    place = chance.randrange(len(text) + 1)
    match chance.randrange(3):
        case 0 if place < len(text):
            return (
                text[:place] + chr(ord(text[place]) ^ 1 << chance.randrange(7)) + text[place + 1 :]
            )
        case 1:
            return text[:place] + text[place + chance.randrange(1, 40) :]
        case _:
            return text[:place] + chance.choice('\0\t\r\n\x7f\x85 +="\\{}[]') + text[place:]


Change = Callable[[str, Random], str]

CHANGES: tuple[Change, ...] = (
    in_one(NUMBER, NUMBERS),
    in_one(BASE64, ENCODED),
    in_one(HEXADECIMAL, (*ENCODED[:2], *NUMBERS[:3], str.upper, lambda text: text[:-2])),
    in_one(WORD, WORDS),
    lambda text, chance: chance.choice(WHOLE)(text),
    in_lines,
    in_bytes,
)


@st.composite
def mutants(draw: st.DrawFn, text: str) -> str:
    """Return a text in which one part, or up to three, are changed."""
    chance = draw(st.randoms(use_true_random=False))
    for _ in range(draw(st.integers(1, 3))):
        text = chance.choice(CHANGES)(text, chance)
    return text
