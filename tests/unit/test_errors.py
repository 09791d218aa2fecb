"""Errors come through queues, copies and other processes as what they were, and are short."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from typing import Any

import pytest

import ledger
import projections
from ledger import (
    AdvanceCursor,
    CursorKey,
    Ledger,
    LedgerError,
    NonMonotonicCursorError,
    RecordError,
    ResetCursor,
    StaleEpochError,
    VersionConflictError,
)
from support.cursors import JOBS
from support.modules import modules_of

# A test may have errors of its own.
OURS = {"ledger", "projections"}
LONG = CursorKey("c" * 512, "s" * 512, "x" * 512)
PAIRS = {"a": "x" * 4_000}


def every_kind() -> list[type[LedgerError]]:
    """Return all errors that there are, in any module."""
    for package in (ledger, projections):
        list(modules_of(package))
    kinds: list[type[LedgerError]] = [LedgerError]
    for kind in kinds:
        kinds += [each for each in kind.__subclasses__() if each.__module__.split(".")[0] in OURS]
    return sorted(set(kinds), key=lambda kind: kind.__name__)


def raised(book: Ledger) -> list[LedgerError]:
    """Return one error of each kind; errors of the law are as the law raises them."""
    book.advance(LONG, to=5, delivery_id="d" * 512, metadata=PAIRS)
    deeds: list[Any] = [
        lambda: book.advance(LONG, to=4, metadata=PAIRS),
        lambda: book.advance(LONG, to=5, delivery_id="other"),
        lambda: book.advance(LONG, to=6, epoch=3),
        lambda: book.advance(JOBS, to=6, epoch=3),
        lambda: book.advance(LONG, to=6, expected_version=3),
        lambda: book.reset(LONG, to=6, reason=""),
        lambda: book.reset(LONG, to=6, reason="why", actor=""),
        lambda: book.get(JOBS),
        lambda: CursorKey("", ""),
        lambda: ledger.fold([*book.history(LONG), *book.history(LONG)]),
    ]
    errors = []
    for deed in deeds:
        with pytest.raises(LedgerError) as caught:
            deed()
        errors.append(caught.value)
    met = {type(error) for error in errors}
    return errors + [kind("It did not go.") for kind in every_kind() if kind not in met]


@pytest.fixture
def errors(path: Any) -> list[LedgerError]:
    with ledger.open(path) as book:
        return raised(book)


def test_every_kind_is_among_those_that_are_tried(errors: list[LedgerError]) -> None:
    assert {type(error) for error in errors} == set(every_kind())
    assert len(every_kind()) >= 16


def test_errors_survive_pickling_and_copying_with_facts_and_notes(
    errors: list[LedgerError],
) -> None:
    for error in errors:
        error.add_note("seen in the morning")
        again = [pickle.loads(pickle.dumps(error, protocol)) for protocol in range(2, 6)]
        for other in (*again, copy.copy(error), copy.deepcopy(error)):
            assert type(other) is type(error)
            assert str(other) == str(error)
            assert repr(other) == repr(error)
            assert vars(other) == vars(error)
            assert other.__notes__ == ["seen in the morning"]


def test_errors_survive_the_way_to_a_process_that_knows_only_the_package(
    errors: list[LedgerError],
) -> None:
    program = (
        "import pickle, sys, projections.charts\n"
        "for error in pickle.load(sys.stdin.buffer): print(repr(str(error)), sorted(vars(error)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=pickle.dumps(errors), capture_output=True, check=True
    )
    told = [f"{str(error)!r} {sorted(vars(error))}" for error in errors]
    assert done.stdout.decode().splitlines() == told


def test_errors_can_be_made_of_their_message_or_of_what_json_kept_of_their_arguments(
    errors: list[LedgerError],
) -> None:
    for error in errors:
        kind = type(error)
        arguments = json.loads(json.dumps(list(map(str, error.args))))
        for other in (kind(str(error)), kind(*arguments)):
            assert str(other) == str(error)
            assert repr(other) == repr(error)
            assert pickle.loads(pickle.dumps(other)).args == other.args
            facts: dict[str, object] = {**vars(kind(str(error))), **vars(error)}
            assert all(getattr(other, name) is None for name in facts)


def test_an_error_of_two_texts_says_both() -> None:
    for kind in (NonMonotonicCursorError, StaleEpochError, VersionConflictError):
        error = kind("Cursor(…)", "AdvanceCursor(…)")
        assert str(error) == "Cursor(…); AdvanceCursor(…)"
        assert (error.current, error.request) == (None, None)


def test_an_error_of_another_version_is_read_with_what_it_has() -> None:
    made = NonMonotonicCursorError("webhooks/orders is at 5")
    vars(made)["of_a_newer_version"] = 7
    again = pickle.loads(pickle.dumps(made))
    assert (str(again), again.of_a_newer_version) == ("webhooks/orders is at 5", 7)


def test_the_repr_of_an_error_is_short(errors: list[LedgerError]) -> None:
    for error in [*errors, ledger.StorageError("x" * 10_000_000)]:
        assert len(repr(error)) <= 200
        assert repr(error).startswith(f"{type(error).__name__}('")
    assert repr(ledger.StorageError("Busy.")) == "StorageError('Busy.')"


def test_the_facts_are_those_of_the_refusal(errors: list[LedgerError]) -> None:
    back = next(error for error in errors if isinstance(error, NonMonotonicCursorError))
    assert back.current is not None
    assert back.request == AdvanceCursor(LONG, 4, metadata=PAIRS)
    assert (back.current.key, back.current.last_sequence) == (LONG, 5)
    conflict = VersionConflictError(None, RecordError(JOBS, "boom", expected_version=3))
    assert str(conflict).startswith("mailer/jobs is at version 0, not 3")
    assert conflict.current is None
    missing = ledger.ActorRequiredError(ResetCursor(JOBS, 1, "why"))
    assert missing.request is not None
