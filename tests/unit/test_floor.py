"""The phases of group commit: every move is in the table, and the table leaves nobody stuck."""

from __future__ import annotations

from itertools import product

import pytest

from ledger.writing.floor import END_ALONE, MOVES, Floor, Move, Phase


@pytest.mark.parametrize(("phase", "move"), list(product(Phase, MOVES)))
def test_a_move_is_made_from_its_phases_and_from_no_other(phase: Phase, move: Move) -> None:
    floor = Floor()
    floor.phase = phase
    if phase in move.before:
        floor.make(move, 7)
        assert (floor.phase, floor.owner) == (move.after, 7)
    else:
        with pytest.raises(RuntimeError, match=move.name):
            floor.make(move, 7)
        assert (floor.phase, floor.owner) == (phase, None)


def test_from_every_phase_there_is_a_way_to_every_other() -> None:
    for start in Phase:
        reached = {start}
        for _ in Phase:
            reached |= {move.after for move in MOVES for phase in reached & set(move.before)}
        assert reached == set(Phase)


def test_what_ends_without_a_call_ends_as_the_table_says() -> None:
    # Writer._enter makes this move by two assignments.
    assert (END_ALONE.before, END_ALONE.after) == ((Phase.ALONE,), Phase.FREE)


def test_the_floor_is_free_at_first() -> None:
    assert (Floor().phase, Floor().owner) == (Phase.FREE, None)
