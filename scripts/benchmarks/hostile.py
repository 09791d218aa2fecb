"""Texts that are made to keep the masking of secrets busy, and a search for the worst of them."""

from __future__ import annotations

import contextlib
import random
import re
import time
from collections.abc import Callable, Iterator
from itertools import islice

from ledger.law import fields, masking

__all__ = ["hostile_texts", "slowest_seconds"]

LENGTH = 1_000_000

SEPARATORS = [
    "=", ":", "==", "=>", ": ", "= ", "?", "&", ";", ",", " ", "\n", "\t", "\\", "\\n", '\\\\"',
    '"', "'", '""', "''", "`", "\u201c", "\u2018", "\xab", "<", ">", "</", "[", "]", "(", ")",
    "{", "}", "@", "://", "://a:", "://a:b@", "//", "/", ".", "-", "--", "_", "%", "%3d", "*",
    "***", "\u2026", "|", "\x00", "\ud800", "\xa0", "\u200b", "\u3164",
]  # fmt: skip
WHOLE = [
    "a", "A", "0", "\xe9", "\xdf", "\u0130", "\u017f", "\u0661", "\u4f60", "\U0001f600", "a=",
    "a:", "a=a ", "a=a&", "A0", "a.", "a-", "aA", "password=", "password: ", 'password="',
    "password='", 'password=\\"', "password=\u201c", "password=a;", "password\n\n",
    "password=,", "password=)", "password=[", "password=(", "password={", '"password","',
    "<password>", "<password", "token: ", "token=[", "key=", "?key=", "&sig=a", "a=;password=a",
    "; password=", "--password ", "-p x", " -p'", "mysql -p", "mysql ", "curl -u a:",
    "login a password ", "login ", "authorization: ", "authorization: digest ",
    "authorization: a ", '"authorization: ', "cookie: a\n", "bearer ", "bearer a", "basic ",
    "basic aaaa", "Basic YTpi ", "eyJ", "eyJaaaaaaaa.", "eyJ.", "-----BEGIN",
    "-----BEGIN PRIVATE KEY-----", "AKIA", "AKIAABCDEFGHIJKLMNOP", "AKIAABCDEFGHIJKLMNOP ",
    "hooks.slack.com/services/", "/webhooks/1/", "@tcp(", "a:b@tcp(", "a:", ":thin:a/",
    "MMMMMMMMMMMMMMMMMMMMMMMM.", "MMMMMMMMMMMMMMMMMMMMMMMM.aaaaaa.", "12345678:A", "1",
    "SG.aaaaaaaaaaaaaaaa.", "signature=", "signature=aaaaaa", "credential=%", "xoxb-", "0Q~",
    "aaa8Q~", "passwordPassword", "aPassword", "password_", "Password1", "p4ssw0rd", "pwd=/",
    "pwd=/a/",
    "-----BEGIN PRIVATE KEY-----\n" + "a" * 16, "-----BEGIN " + "A" * 40,
    "AKIA" + "A" * 16 + "/" + "a" * 40,
]  # fmt: skip


def slowest_seconds(texts: int) -> float:
    """Return the seconds of a processor that the slowest of so many hostile texts takes.

    A third as many again are searched for, by putting parts together and keeping the slowest.
    """
    # One at a time: all of them are more than a gigabyte.
    listed = sum(1 for _ in hostile_texts())
    chosen = islice(hostile_texts(), 0, None, max(1, listed // texts))
    slowest = max(seconds_of(text) for _, text in chosen)
    return max(slowest, worst_found(min(texts, 3_000) // 3)[0])


def hostile_texts() -> Iterator[tuple[str, str]]:
    """Yield (name, text) of a million characters: every literal, separator and pair of them."""
    literals = sorted({literal for rule in masking.RULES for literal in rule.literals})
    for part in [*SEPARATORS, *WHOLE, *literals]:
        yield repr(part * 2)[:40], repeated(part)
    for literal in [*literals, *(literal.upper() for literal in literals)]:
        for end in ("=", ': "', " ", "\n"):
            yield repr(literal + end), repeated(literal + end)
    # All literals once, so that no rule is left out, before one that keeps a rule busy.
    everything = " ".join(literals) + "\n"
    for part in [*SEPARATORS, *WHOLE]:
        yield repr("all " + part)[:40], everything + repeated(part)


def repeated(part: str) -> str:
    return (part * (LENGTH // len(part) + 1))[:LENGTH]


def _as_recorded(text: str, name: str) -> str:
    """Return what is kept of an error's message, as a request makes it."""
    return fields.message(fields.spelled(text), name)


def seconds_of(text: str, rounds: int = 2, run: Callable[[str, str], str] = _as_recorded) -> float:
    """Return the least seconds that masking `text` took; one that is blank is refused, as ever."""
    best = float("inf")
    for _ in range(rounds):
        begun = time.process_time()
        with contextlib.suppress(ValueError):
            run(text, "message")
        best = min(best, time.process_time() - begun)
    return best


def worst_found(turns: int, seed: int = 7) -> tuple[float, str]:
    """Return the slowest text that a search finds which puts parts together and keeps the worst."""
    chance = random.Random(seed)
    literals = sorted({literal for rule in masking.RULES for literal in rule.literals})
    parts = [*SEPARATORS, *WHOLE, *literals]
    pool: list[tuple[float, list[str]]] = []
    for turn in range(turns):
        if turn % 3 == 0 or not pool:
            made = chance.choices(parts, k=chance.randint(1, 6))
        else:
            made = list(chance.choice(pool)[1])
            at = chance.randrange(len(made) + 1)
            match chance.randrange(3):
                case 0:
                    made[at:at] = chance.choices(parts, k=1)
                case 1:
                    made[at : at + 1] = chance.choices(parts, k=1)
                case _:
                    made = [part for part in made for _ in range(chance.choice((1, 1, 2)))][:12]
        unit = "".join(made)
        if not re.search(r"\S", unit):
            continue
        pool.append((seconds_of(repeated(unit), 1), made))
        pool = sorted(pool, reverse=True)[:12]
    # What the machine did meanwhile counts once only.
    return max((seconds_of(repeated("".join(made)), 5), repr("".join(made))) for _, made in pool)
