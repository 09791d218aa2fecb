"""How values are put into statements: as every Python that is supported takes them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from support.places import TOP

NUMBERED = re.compile(r"\?\d")


def texts() -> Iterator[tuple[str, str]]:
    """Yield every text in the code, and where it stands."""
    for room in ("ledger", "projections"):
        for file in sorted((TOP / room).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield f"{file.relative_to(TOP)}:{node.lineno}", node.value
        for file in sorted((TOP / room).rglob("*.sql")):
            yield str(file.relative_to(TOP)), file.read_text("utf-8")


def test_no_placeholder_has_a_number() -> None:
    # With a sequence of values, Python 3.12 warns of it, and 3.14 refuses it.
    found = dict(texts())
    assert any("ledger_tree" in text and " ? AS level" in text for text in found.values())
    assert [place for place, text in texts() if NUMBERED.search(text)] == []
