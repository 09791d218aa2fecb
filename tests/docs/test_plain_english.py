"""Docstrings and comments are plain English: what must not stand in them, and what to write."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.places import TOP

MODULES = sorted(
    module for room in ("ledger", "projections", "scripts") for module in (TOP / room).rglob("*.py")
)

WORDS = {
    r"(?:^|[.;:]\s+)(?:Then|So|Who|Whoever|Whom)\b(?=[ ,])": "a subject; no sentence begins so",
    r"\bwhom\b": "which, or that",
    r", for (?:it|they|there|nobody|nothing|that|this|these|those|no|he|what|who)\b": "because",
    r"\bhandlers? of signals\b": "a signal handler",
    r"\bin vain\b": "what happened",
    r"\bbut for\b": "except",
    r"\b(?:he|his|him|himself)\b": "the caller, it, their",
}
"""Each pattern, with what to write instead."""

BAD = {re.compile(pattern): instead for pattern, instead in WORDS.items()}


def docstrings(module: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            said = ast.get_docstring(node)
            if said:
                yield node.body[0].lineno, said


def comments(module: Path) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(module.read_text("utf-8")).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string.lstrip("# ")


def complaints(text: str) -> list[str]:
    plain = " ".join(text.split())
    return [
        f"{found[0].strip()!r} in “…{plain[max(0, found.start() - 30) : found.end() + 30]}…”: "
        f"write {instead}"
        for pattern, instead in BAD.items()
        for found in pattern.finditer(plain)
    ]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(TOP)))
def test_a_reader_need_not_read_a_sentence_twice(module: Path) -> None:
    found = [
        f"{module}:{line}: {complaint}"
        for line, text in (*docstrings(module), *comments(module))
        for complaint in complaints(text)
    ]
    found += [
        f"{module}:{line}: a docstring begins with Give: write Return, Yield or what it does"
        for line, text in docstrings(module)
        if re.match(r"Give\b", text)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "text",
    [
        "Then the thread ends, until it is wanted again.",
        "Refused, for it is a standby.",
        "Whoever writes closes the rest.",
        "Wait; so that it ends. So nobody waits.",
    ],
)
def test_what_is_hard_to_read_is_found(text: str) -> None:
    assert complaints(text)
