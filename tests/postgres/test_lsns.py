"""An LSN is read and written as a server does it."""

from __future__ import annotations

import random
from contextlib import closing

from ledger.law.fields import SEQUENCE_MAX
from ledger.positions import lsn_of, sequence_of_lsn
from support.callers import connected


def test_the_server_agrees_on_the_number_and_the_spelling(target: str) -> None:
    chosen = random.Random(20261129)
    numbers = [0, 1, 23803720, 2**32 - 1, 2**32, SEQUENCE_MAX]
    numbers += [chosen.getrandbits(chosen.randint(1, 63)) for _ in range(200)]
    ours = [lsn_of(number) for number in numbers]
    with closing(connected(target)) as connection:
        rows = connection.execute(
            "SELECT lsn::pg_lsn - '0/0'::pg_lsn, lsn::pg_lsn::text FROM unnest(%s::text[])"
            " WITH ORDINALITY AS given (lsn, nth) ORDER BY nth",
            [[each.lower() for each in ours]],
        ).fetchall()
        [(now,)] = connection.execute("SELECT pg_current_wal_lsn()::text").fetchall()
    assert [int(number) for number, _ in rows] == numbers
    # From version 19 on, a server pads the second half with zeros.
    assert [lsn_of(sequence_of_lsn(text)) for _, text in rows] == ours
    assert sequence_of_lsn(now) > 0
