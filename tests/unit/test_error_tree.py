"""The errors: one tree, drawn in its module, and known to everybody by its public names."""

from __future__ import annotations

import importlib
import pickle
import pickletools
import subprocess
import sys
import traceback

import pytest

import ledger
from ledger import AdvanceCursor, Cursor, CursorKey, LedgerError, errors
from ledger.errors import invalid, no_ledger

KEY = CursorKey("webhooks", "orders")
PUBLIC: list[type[LedgerError]] = [
    value
    for name in ledger.__all__
    if isinstance(value := getattr(ledger, name), type) and issubclass(value, LedgerError)
]


def drawn() -> dict[str, set[str]]:
    """Return the bases of each error, as the docstring of `ledger.errors` draws them."""
    assert errors.__doc__ is not None
    lines = errors.__doc__.splitlines()
    begin = lines.index("    LedgerError")
    bases: dict[str, set[str]] = {}
    path: list[str] = []
    for line in lines[begin : lines.index("", begin)]:
        place = next(place for place, char in enumerate(line) if char.isalpha())
        name, _, also = line[place:].partition(" (also a ")
        path = [*path[: place // 4 - 1], name]
        bases[name] = {*path[-2:-1], *filter(None, [also.rstrip(")")])}
    return bases


def test_the_drawing_in_the_docstring_is_the_tree() -> None:
    there = {kind.__name__: {base.__name__ for base in kind.__bases__} for kind in PUBLIC}
    assert drawn() == {**there, "LedgerError": set()}


def test_a_public_error_names_the_package_as_its_module() -> None:
    for kind in PUBLIC:
        assert kind.__module__ == "ledger"
        with pytest.raises(kind) as caught:
            raise kind("It did not go.")
        [*_, last] = traceback.format_exception_only(caught.value)
        assert last == f"ledger.{kind.__name__}: It did not go.\n"


def test_an_error_of_another_module_keeps_its_own() -> None:
    class OwnError(ledger.StorageError):
        """What a program may derive."""

    assert OwnError.__module__ == __name__


def test_a_pickled_error_names_no_room_of_the_package() -> None:
    for kind in PUBLIC:
        found = [
            argument
            for opcode, argument, _ in pickletools.genops(pickle.dumps(kind("x"), protocol=2))
            if opcode.name == "GLOBAL"
        ]
        assert f"ledger {kind.__name__}" in found


def test_programs_and_pickles_that_name_a_refusal_in_the_module_of_errors_still_work() -> None:
    for kind in PUBLIC:
        assert getattr(errors, kind.__name__) is kind
        # As earlier code wrote it, by the text protocol.
        again = pickle.loads(f"cledger.errors\n{kind.__name__}\n(Vit\ntR.".encode())
        assert type(again) is kind
    with pytest.raises(AttributeError, match="has no attribute 'StaleEpoch'"):
        _ = errors.StaleEpoch  # type: ignore[attr-defined]
    assert importlib.import_module("ledger.errors") is errors


def test_an_error_goes_to_another_process_and_back_with_its_facts() -> None:
    program = (
        "import pickle, sys\n"
        "error = pickle.load(sys.stdin.buffer)\n"
        "import ledger\n"
        "assert type(error) in vars(ledger).values()\n"
        "sys.stdout.buffer.write(pickle.dumps(error))"
    )
    with ledger.open(":memory:", actor="me") as book:
        at: Cursor = book.advance(KEY, to=5, delivery_id="d-5")
    for error in (
        ledger.NonMonotonicCursorError(at, AdvanceCursor(KEY, 4)),
        ledger.StaleEpochError(None, AdvanceCursor(KEY, 4, epoch=2)),
        invalid("last_sequence", "must be more.", value=0, bound=1),
        no_ledger("cursors.db", "no such table"),
    ):
        done = subprocess.run(
            [sys.executable, "-c", program],
            input=pickle.dumps(error),
            capture_output=True,
            check=True,
        )
        again = pickle.loads(done.stdout)
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert vars(again) == vars(error)
