"""What every store must do, as one function that runs on the store of anybody.

`check` needs no test framework. `docs/write-a-store.md` says how a store is written, and what the
rules leave open.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

import attrs

from ledger.conformance.evidence import RULES as EVIDENCE
from ledger.conformance.logs import BrokenRuleError, Logs, OpenStore, Rule
from ledger.conformance.reading import RULES as READING
from ledger.conformance.writing import RULES as WRITING

__all__ = [
    "RULES",
    "NonConformingStoreError",
    "OpenStore",
    "Rule",
    "Violation",
    "check",
    "violations",
]

RULES: tuple[Rule, ...] = READING + WRITING + EVIDENCE
"""All rules, in the order in which they are run.

>>> from ledger.conformance import RULES
>>> RULES[0].says
'an empty log has nothing in it'
"""


@attrs.frozen
class Violation:
    """A rule that a store does not keep, and what it did instead.

    `rule` is the sentence of the rule, and `fact` says what was found. `str` has both.

    >>> from ledger.conformance import RULES, violations
    >>> def open_store(name):
    ...     raise ConnectionRefusedError("no server at 5432")
    >>> [violation] = violations(open_store, rules=RULES[:1])
    >>> print(violation)
    an empty log has nothing in it: it raised ConnectionRefusedError: no server at 5432
    """

    rule: str
    fact: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.fact}"


class NonConformingStoreError(AssertionError):
    """The store is none that a ledger can rely on; `violations` has each rule that it violates.

    It is an AssertionError, so that a test that calls `check` fails by it.

    >>> from ledger.conformance import NonConformingStoreError, check
    >>> def open_store(name):
    ...     raise NotImplementedError("open_store")
    >>> try:
    ...     check(open_store)
    ... except NonConformingStoreError as error:
    ...     print(error.violations[0].fact)
    it raised NotImplementedError: open_store
    """

    violations: tuple[Violation, ...]

    def __init__(self, found: tuple[Violation, ...]) -> None:
        self.violations = found
        super().__init__("\n".join([f"the store violates {len(found)} rules:", *map(str, found)]))


def check(open_store: OpenStore, *, opens_again: bool = True) -> None:
    """Run all rules on stores that `open_store` opens.

    `open_store` takes the name of a log, such as `log_7`: one that it has not seen is that of an
    empty log, and one that it has seen opens the same log once more. Where a log is gone when its
    store is closed, and can be opened only once, `opens_again` must be False: the rules about two
    stores on one log are then left out. It is True by default.

    Raises NonConformingStoreError, which names every rule that is violated.

    >>> from ledger.conformance import NonConformingStoreError, check
    >>> class MyStore:
    ...     def close(self):
    ...         pass
    >>> try:
    ...     check(lambda name: MyStore())
    ... except NonConformingStoreError as error:
    ...     print(error.violations[0].fact)
    it raised AttributeError: 'MyStore' object has no attribute 'cursor'
    """
    if found := violations(open_store, opens_again=opens_again):
        raise NonConformingStoreError(found)


def violations(
    open_store: OpenStore, *, opens_again: bool = True, rules: Iterable[Rule] = RULES
) -> tuple[Violation, ...]:
    """Return the rules that stores which `open_store` opens do not keep; none if they are right.

    `rules` are those that are run, by default all; one alone takes milliseconds. `opens_again` is
    as for `check`, which raises where this returns. What a store or a rule raises is a violation.

    >>> from ledger.conformance import RULES, violations
    >>> from ledger.stores import sqlite
    >>> violations(lambda name: sqlite.open_store(":memory:"), opens_again=False, rules=RULES[:3])
    ()
    """
    names = (f"log_{nth}" for nth in count(1))
    found = []
    for rule in rules:
        if rule.needs_two and not opens_again:
            continue
        try:
            with Logs(open_store, names) as logs:
                rule.check(logs)
        except BrokenRuleError as error:
            found.append(Violation(rule.says, str(error)))
        except Exception as error:  # noqa: BLE001 - whatever a store raises, it is reported
            found.append(Violation(rule.says, f"it raised {type(error).__name__}: {error}"))
    return tuple(found)
