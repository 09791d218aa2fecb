"""A call that raised has appended nothing, also once the file is opened again; or it says so."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

import ledger
from support.cursors import JOBS
from support.failing import run

ROWS = 5

# An append, so many of whose calls fail, and what becomes of the process then.
APPEND = """
path, call, file, error, after, times, rows, end, durability = sys.argv[1:]
book = ledger.open(path, actor="victim", durability=durability)
book.append([AdvanceCursor(jobs, n) for n in range(1, 4)])
fail(call, file, int(error), after=int(after), times=int(times))
try:
    book.append([AdvanceCursor(jobs, 4 + n, delivery_id="x" * 300) for n in range(int(rows))])
except ledger.StorageError as refused:
    print(type(refused).__name__, refused)
else:
    print("appended")
print(failed(), flush=True)
fail("none", "", 0)
assert book.get(jobs).last_sequence == 3 or not failed()
if end == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
if end == "go on":
    print(book.advance(jobs, to=10_000).version, book.verify().ok, flush=True)
book.close()
"""


def appended(
    path: Path,
    call: str,
    error: int,
    *,
    end: str,
    after: int = 0,
    times: int = 1,
    rows: int = 1,
    file: str = "-wal",
    durability: str = "full",
) -> list[str]:
    done = run(APPEND, path, call, file, error, after, times, rows, end, durability)
    assert not done.stderr
    assert done.returncode == (-9 if end == "kill" else 0)
    return done.stdout.splitlines()


def stands_at(path: Path) -> int:
    with ledger.open(path) as book:
        assert book.verify().ok
        return book.get(JOBS).last_sequence


@pytest.mark.slow("it makes each call fail at each of its system calls")
@pytest.mark.parametrize("end", ["kill", "close", "go on"])
@pytest.mark.parametrize("rows", [1, 2_000])
@pytest.mark.parametrize(
    ("call", "error", "after", "times", "durability"),
    [
        ("sync", errno.EIO, 0, 1, "full"),
        ("sync", errno.ENOSPC, 0, 1, "full"),
        ("write", errno.EIO, 0, 1, "full"),
        ("write", errno.EIO, 3, 1, "full"),
        ("write", errno.EIO, 3, 99, "full"),
        ("write", errno.ENOSPC, 0, 1, "full"),
        ("write", errno.ENOSPC, 0, 99, "full"),
        ("write", errno.ENOSPC, 5, 99, "full"),
        ("write", errno.ENOSPC, 3, 1, "normal"),
    ],
)
def test_a_call_that_raised_does_not_come_back(
    path: Path,
    *,
    call: str,
    error: int,
    after: int,
    times: int,
    durability: str,
    rows: int,
    end: str,
) -> None:
    said, failed, *rest = appended(
        path,
        call,
        error,
        after=after,
        times=times,
        rows=rows,
        end=end,
        durability=durability,
    )
    assert 1 <= int(failed) <= times
    assert said.startswith("StorageError")
    if end == "go on":
        assert rest == ["4 True"]
        assert stands_at(path) == 10_000
    else:
        assert stands_at(path) == 3


@pytest.mark.parametrize("end", ["kill", "close"])
@pytest.mark.parametrize("rows", [1, ROWS])
def test_where_that_cannot_be_seen_to_it_says_so(path: Path, rows: int, end: str) -> None:
    said, failed = appended(path, "sync", errno.EIO, times=9, rows=rows, end=end)
    assert int(failed) > 1
    assert said.startswith("UnknownOutcomeError")
    assert "look at the cursor before asking again" in said
    assert "Nothing was appended" not in said
    assert stands_at(path) in {3, 3 + rows}


def test_what_is_appended_next_settles_it(path: Path) -> None:
    said, _, rest = appended(path, "sync", errno.EIO, times=9, end="go on")
    assert said.startswith("UnknownOutcomeError")
    assert rest == "4 True"
    assert stands_at(path) == 10_000
