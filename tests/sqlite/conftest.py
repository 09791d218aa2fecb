"""A file with something of everything, a file of the schema before, and permissions that count."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import ledger
from ledger import Ledger
from ledger.stores.sqlite import migrations
from support.clock import Clock
from support.commands import Run
from support.cursors import JOBS, fill
from support.sqlite_files import definitions


@pytest.fixture
def full(book: Ledger, clock: Clock) -> Ledger:
    return fill(book, clock)


@pytest.fixture
def humbly() -> list[str]:
    """Return what to put before a command so that permissions count, which root does not heed."""
    if os.getuid() != 0:
        return []
    if not (setpriv := shutil.which("setpriv")):
        pytest.skip(
            "the tests are run by root, and setpriv is not there to make it heed permissions"
        )
    return [setpriv, "--bounding-set=-dac_override,-dac_read_search"]


@pytest.fixture
def older(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a ledger as it was made before cursors were kept, with an entry in it."""
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "SCHEMAS", migrations.SCHEMAS[:1])
        patch.setattr(migrations, "LATER", ())
        with ledger.open(path) as book:
            book.advance(JOBS, to=1)
    assert "refuse_new_key" not in definitions(path)
    return path


@pytest.fixture
def copy(tmp_path: Path, full: Ledger, run: Run) -> Path:
    """Return a backup over 7 entries."""
    copy = tmp_path / "monday.db"
    assert run("backup", copy).exit_code == 0
    full.close()
    return copy
