"""Docstrings, comments and names of tests are plain English: what is refused, what to write."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from support.places import TOP

MODULES = sorted(
    module for room in ("ledger", "projections", "scripts") for module in (TOP / room).rglob("*.py")
)
ROOMS = sorted({module.parent for module in (TOP / "tests").rglob("*.py")})
"""The tests have many modules, so they are read room by room."""

EVERYWHERE = {
    r"\bhandlers? of signals\b": "a signal handler",
    r"\bin vain\b": "what happened",
    r"\bbut for\b": "except",
    r"\b[Ll]est\b": "so that … not, or: else … would",
    r"\b(?:[Ii]t|[Tt]his) gives (?:a|an|the|what)\b|\bthat this gives\b": "returns",
}
"""Each pattern that neither modules nor pages have, with what to write instead."""

WORDS = {
    r"(?:^|[.;:]\s+)(?:Then|So|Who|Whoever|Whose|Whom)\b(?=[ ,])": "a subject, as a sentence has",
    r"\bwhom\b": "which, or that",
    r", for (?:it|they|there|nobody|nothing|that|this|these|those|no|he|what|who)\b": "because",
    r"\b(?:he|his|him|himself)\b": "the caller, it, their",
    **EVERYWHERE,
}
"""Each pattern, with what to write instead."""

PAGES = [
    TOP / "README.md",
    *sorted((TOP / "docs").glob("*.md")),
    *sorted((TOP / "docs/reference").glob("*.md")),
]
"""What is read as documentation. `docs/decisions/` is not: it keeps what was written on a day."""

PAGE_WORDS = {
    r"(?:^|[.;:!]\*{0,2} +)(?:Then|So|Who|Whoever|Whose|Whom)\b(?=[ ,])(?![^.]*\?)": (
        "a subject, as a sentence has"
    ),
    **EVERYWHERE,
}
"""Each pattern that no page has, with what to write instead. A question may begin with Who."""

FIRST_WORDS = {
    r"Give\b": "Return, Yield or what it does",
    r"Say\b": "Return, Print, Set or what it does",
    r"(?:So|Then|Who|Whoever|Whose|Whom)\b": "a subject and a verb, or a noun: How many blocks …",
}
"""Each word that no docstring begins with, with what to write instead."""

NAMELESS = re.compile(r"test_(?:nor|so|then|who|whoever|whose|whom)_")
"""The name of a test has a subject: `test_a_caller_that_…`."""

BAD = {re.compile(pattern): instead for pattern, instead in WORDS.items()}
BAD_IN_PAGES = {re.compile(pattern): instead for pattern, instead in PAGE_WORDS.items()}


def docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the docstrings of modules, classes, functions and constants."""
    for node in ast.walk(tree):
        for block in ("body", "orelse", "finalbody"):
            statements = getattr(node, block, None)
            for each in statements if isinstance(statements, list) else ():
                match each:
                    case ast.Expr(value=ast.Constant(value=str(said))):
                        yield each.lineno, said.strip()


def names_of_tests(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.lineno, node.name


def comments(source: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string.lstrip("# ")


BETWEEN_PARTS = r"\n\s*\n|^ *(?:[-*]|\d+\.) +|^#.*$|(?<!\\)\|"
"""An empty line, the mark of an item, a heading, or the edge of a cell."""


def parts_of_a_page(text: str) -> Iterator[str]:
    """Yield paragraphs, items of lists and cells of tables, without what is code or a heading."""
    prose = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
    prose = re.sub(r"`[^`]*`", "`code`", prose)
    for block in re.split(
        r"\n\s*\n|^ *(?:[-*]|\d+\.) +|^#.*$|(?<!\\)\|", prose, flags=re.MULTILINE
    ):
        yield " ".join(block.split())


def complaints_about_page(text: str) -> list[str]:
    return [
        complaint for part in parts_of_a_page(text) for complaint in complaints(part, BAD_IN_PAGES)
    ]


def complaints(text: str, bad: Mapping[re.Pattern[str], str] = BAD) -> list[str]:
    plain = " ".join(text.split())
    return [
        f"{found[0].strip()!r} in “…{plain[max(0, found.start() - 30) : found.end() + 30]}…”: "
        f"write {instead}"
        for pattern, instead in bad.items()
        for found in pattern.finditer(plain)
    ]


def all_complaints(source: str) -> Iterator[tuple[int, str]]:
    """Yield each complaint about a module, with its line."""
    tree = ast.parse(source)
    for line, text in (*docstrings(tree), *comments(source)):
        for complaint in complaints(text):
            yield line, complaint
    for line, text in docstrings(tree):
        for word, instead in FIRST_WORDS.items():
            if found := re.match(word, text):
                yield line, f"a docstring begins with {found[0]}: write {instead}"
    for line, name in names_of_tests(tree):
        if NAMELESS.match(name):
            yield line, f"{name} has no subject: write test_a_caller_that_…"


def complaints_about(modules: Iterable[Path]) -> str:
    return "\n".join(
        f"{module}:{line}: {complaint}"
        for module in modules
        for line, complaint in all_complaints(module.read_text("utf-8"))
    )


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(TOP)))
def test_a_reader_need_not_read_a_sentence_twice(module: Path) -> None:
    assert not complaints_about([module])


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: str(room.relative_to(TOP)))
def test_a_reader_need_not_read_a_sentence_of_a_test_twice(room: Path) -> None:
    assert not complaints_about(sorted(room.glob("*.py")))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_a_reader_need_not_read_a_sentence_of_a_page_twice(page: Path) -> None:
    assert complaints_about_page(page.read_text("utf-8")) == []


@pytest.mark.parametrize(
    "text",
    [
        "It has one\nconnection. So the ledger takes it.",
        "- So it is.",
        "1. Then comes the next.",
        "| a cell | Then it ends |",
        "**It stays.** So does the rest.",
        "It is called\n`x`. Then it ends.",
        "Whoever has the key signs.",
        "It is kept, lest it be lost.",
        "This gives a row.",
    ],
)
def test_what_is_hard_to_read_is_found_in_a_page(text: str) -> None:
    assert complaints_about_page(text)


@pytest.mark.parametrize(
    "text",
    [
        "## Who is behind\n\nSome are.",
        "Who reset it, and when? `resets` knows.",
        "```python\n# So it is.\n```",
        "It ends, and so does the rest; then the next one begins.",
    ],
)
def test_a_page_may_ask_and_quote(text: str) -> None:
    assert complaints_about_page(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "Read again, lest it be lost.",
        "It gives a row if it was done.",
        "Its rows are in the cursor that this gives.",
        "Then the thread ends, until it is wanted again.",
        "Refused, for it is a standby.",
        "Whoever writes closes the rest.",
        "Wait; so that it ends. So nobody waits.",
    ],
)
def test_what_is_hard_to_read_is_found(text: str) -> None:
    assert complaints(text)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('BLOCKS = 8\n"""So many blocks are made at once."""', "begins with So"),
        ('class A:\n    WAIT_S: float = 1.0\n    """Say how long."""', "begins with Say"),
        ('def f():\n    """Give the cursor."""', "begins with Give"),
        ('"""Whose cursor it is."""', "begins with Whose"),
        ("async def test_so_it_is():\n    pass", "has no subject"),
        ("def test_whoever_waits_is_told():\n    pass", "has no subject"),
        ("x = 1  # Then it ends.", "write a subject"),
    ],
)
def test_what_is_hard_to_read_is_found_in_a_module(source: str, found: str) -> None:
    assert any(found in complaint for _, complaint in all_complaints(source))


def test_plain_english_is_let_through() -> None:
    source = '''
BLOCKS = 8
"""How many blocks are made at once, which bounds the memory."""

def test_a_caller_that_waits_is_told():
    """Return whether a caller is told."""
    # The thread exits when idle; the next call starts a new one.
'''
    assert not list(all_complaints(source))
