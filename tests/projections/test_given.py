"""What is given first where something else is wanted is refused, with what is wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ledger
import ledger.aio
import projections
from ledger import CursorKey, InvalidCursorError, Ledger
from projections import (
    PolicyHistory,
    Projector,
    ResetPlan,
    as_of,
    blame,
    cursors_as_of,
    diff,
    draw,
    draw_on_terminal,
    error_streaks,
    explain,
    follow,
    gaps,
    group_lag,
    lag,
    policy_changes,
    repeats,
    report_resets,
    reset_groups,
    reset_signature,
    resets,
    stalls,
    timeline,
)

KEY = CursorKey("webhooks", "orders")
Call = Callable[[Any], Any]
NOTHING: Any = (None, None)


def read(found: Any) -> Any:
    """Read what a view yields, because some look at nothing before."""
    return list(found) if isinstance(found, Iterator) else found


OF_HISTORY: dict[str, Call] = {
    "explain": lambda given: explain(given, 7),
    "gaps": gaps,
    "repeats": repeats,
    "timeline": timeline,
    "error_streaks": error_streaks,
    "group_lag": group_lag,
    "stalls": stalls,
}
OF_BOOK: dict[str, Call] = {
    "as_of": lambda given: as_of(given, KEY, 1),
    "blame": lambda given: blame(given, KEY),
    "cursors_as_of": lambda given: cursors_as_of(given, 1),
    "diff": lambda given: diff(given, 1, 2),
    "follow": follow,
    "lag": lag,
    "policy_changes": policy_changes,
    "report_resets": report_resets,
    "reset_groups": reset_groups,
    "reset_signature": lambda given: reset_signature(given, *NOTHING),
    "resets": resets,
}
METHODS: dict[str, Call] = {
    "PolicyHistory.of": PolicyHistory.of,
    "Projector": lambda given: Projector(book=given, name="x", connection=None, apply=print),  # type: ignore[arg-type]
    "ResetPlan.apply": ResetPlan(()).apply,
    "ResetPlan.check": ResetPlan(()).check,
    "ResetPlan.make": lambda given: ResetPlan.make(given, [KEY], to=1, reason="x"),
    "ResetPlan.undo": lambda given: ResetPlan.undo(given, [KEY]),
}
OF_TIMELINE: dict[str, Call] = {
    "draw": lambda given: draw(given, "x.svg"),
    "draw_on_terminal": lambda given: draw_on_terminal(given, width=60, height=12),
}


@pytest.fixture
def book() -> Iterator[Ledger]:
    with ledger.open(":memory:", actor="tester") as book:
        book.advance(KEY, to=1)
        yield book


def refusal(call: Call, given: object) -> str:
    with pytest.raises(InvalidCursorError) as refused:
        read(call(given))
    return str(refused.value)


def test_every_public_function_is_tried() -> None:
    functions = {
        name
        for name in projections.__all__
        if callable(value := getattr(projections, name)) and not isinstance(value, type)
    }
    functions -= {"Moment"}  # A union of types.
    assert functions == {*OF_HISTORY, *OF_BOOK, *OF_TIMELINE, "afollow"}


@pytest.mark.parametrize("name", OF_HISTORY)
def test_what_takes_entries_refuses_all_else(name: str, book: Ledger) -> None:
    wanted = {
        "error_streaks": "entries must be those of the log, as book.entries() yields them",
        "stalls": "entries must be those of the log, as book.entries() yields them",
        "group_lag": "lags must be what lag(book) yields",
    }.get(name, "history must be the entries of one cursor, as book.history(key) yields")
    call = OF_HISTORY[name]
    assert refusal(call, book) == f"{wanted}, not the ledger."
    assert refusal(call, KEY) == f"{wanted}, not a CursorKey."
    assert refusal(call, None) == f"{wanted}, not nothing."
    assert refusal(call, "webhooks/orders") == f"{wanted}, not a str."
    assert refusal(call, book.cursors()) == f"{wanted}; the first of them is a Cursor."
    assert refusal(call, [1, 2]) == f"{wanted}; the first of them is a int."


@pytest.mark.parametrize("name", [*OF_BOOK, *METHODS])
def test_what_takes_a_ledger_refuses_all_else(name: str, book: Ledger) -> None:
    call = (OF_BOOK | METHODS)[name]
    wanted = "book must be a Ledger, as ledger.open(…) returns"
    assert refusal(call, KEY) == f"{wanted}, not a CursorKey."
    assert refusal(call, None) == f"{wanted}, not nothing."
    assert refusal(call, Path("cursors.db")) == f"{wanted}, not a PosixPath."
    assert refusal(call, book.history(KEY)).startswith(f"{wanted}, not a ")


@pytest.mark.parametrize("name", OF_TIMELINE)
def test_what_draws_refuses_all_but_a_timeline(name: str, book: Ledger) -> None:
    said = refusal(OF_TIMELINE[name], book)
    assert said == (
        "timeline must be a Timeline, as timeline(book.history(key)) returns, not a Ledger."
    )


def test_keys_are_several(book: Ledger) -> None:
    for plan in (
        lambda keys: ResetPlan.make(book, keys, to=1, reason="x"),
        lambda keys: ResetPlan.undo(book, keys),
    ):
        assert refusal(plan, KEY) == "keys must be several CursorKeys, not one: pass [key]."
        assert refusal(plan, "webhooks") == "keys must be several CursorKeys, not a str."
        assert refusal(plan, None) == "keys must be several CursorKeys, not nothing."
        assert refusal(plan, book) == "keys must be several CursorKeys, not a Ledger."
        assert "must be a CursorKey" in refusal(plan, ["webhooks"])


def test_with_asyncio_the_kinds_of_ledger_are_told_apart() -> None:
    async def main() -> None:
        async with ledger.aio.open(":memory:", actor="tester") as book:
            for name in ("resets", "lag", "blame"):
                with pytest.raises(InvalidCursorError, match="not entries of it"):
                    OF_BOOK[name](book.history(KEY))
            with pytest.raises(InvalidCursorError, match="must be entries, not the ledger"):
                gaps(book)  # type: ignore[call-overload]
            with pytest.raises(InvalidCursorError, match="is a ledger for asyncio"):
                reset_groups(book)  # type: ignore[arg-type]

    asyncio.run(main())


@pytest.mark.parametrize("given", ["Ledger", None, 7])
def test_afollow_refuses_all_but_a_ledger_for_asyncio(given: object, book: Ledger) -> None:
    async def main() -> None:
        source: Any = book if given == "Ledger" else given
        with pytest.raises(InvalidCursorError, match="book must be an AsyncLedger"):
            await anext(projections.afollow(source))

    asyncio.run(main())


def test_what_is_left_out_is_said_by_python() -> None:
    for call in (gaps, resets, timeline):
        with pytest.raises(TypeError, match="missing 1 required positional argument"):
            call()  # type: ignore[call-overload]
