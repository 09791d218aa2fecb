"""The rules for stores: a store in memory keeps them, and each of many broken stores does not."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ledger.conformance import RULES, NonConformingStoreError, Violation, check, violations
from ledger.stores import Store, sqlite
from support.broken_stores import (
    BROKEN,
    Broken,
    LosesMetadata,
    RemembersHeads,
    RemembersHeadsByThread,
)


def test_a_store_in_memory_keeps_the_rules() -> None:
    check(lambda _: sqlite.open_store(":memory:"), opens_again=False)


def opener(broken: type[Broken], folder: Path) -> Callable[[str], Store]:
    def open_store(name: str) -> Store:
        folder.mkdir(exist_ok=True)
        store: Any = broken(str(folder / f"{name}.db"))
        return store  # type: ignore[no-any-return]

    return open_store


TRIES = 5
"""What threads do to each other may not show at once on a machine that has much to do."""

FOUND_BY_THREADS = {RemembersHeads, RemembersHeadsByThread}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_a_broken_store_is_found_out(broken: type[Broken], tmp_path: Path) -> None:
    rules = [rule for rule in RULES if re.search(BROKEN[broken], rule.says)]
    found: tuple[Violation, ...] = ()
    for nth in range(TRIES if broken in FOUND_BY_THREADS else 1):
        found = violations(opener(broken, tmp_path / str(nth)), rules=rules)
        if len(found) == len(rules):
            break
    assert [violation.rule for violation in found] == [rule.says for rule in rules] != []


def test_each_rule_is_violated_by_some_store() -> None:
    """A rule that no broken store violates might be one that cannot fail."""
    found_out = re.compile("|".join(BROKEN.values()))
    assert [rule.says for rule in RULES if not found_out.search(rule.says)] == []


def test_the_report_has_a_line_for_each_rule_that_is_violated(tmp_path: Path) -> None:
    with pytest.raises(NonConformingStoreError, match="every field of an entry") as caught:
        check(opener(LosesMetadata, tmp_path))
    assert len(str(caught.value).splitlines()) == len(caught.value.violations) + 1 > 2
    assert "metadata" in str(caught.value)
