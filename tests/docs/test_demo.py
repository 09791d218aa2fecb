"""The README's first command does what it says, on a repository made for it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

import ledger
from ledger import CursorKey, CursorReset, EntryQuery, ErrorRecorded
from support.places import TOP
from support.preloaded import programs

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="the demo delivers a git history")

DEMO = TOP / "scripts" / "demo.py"
GIT = [
    "git",
    "-c",
    "user.name=Ines",
    "-c",
    "user.email=ines@example.org",
    "-c",
    "init.defaultBranch=main",
]


def repository(folder: Path, commits: int) -> Path:
    folder.mkdir()
    subprocess.run([*GIT, "init", "-q"], cwd=folder, check=True)
    for number in range(commits):
        commit = [*GIT, "commit", "-q", "--allow-empty", "-m", f"Change {number}"]
        subprocess.run(commit, cwd=folder, check=True)
    return folder


@pytest.mark.parametrize(
    "commits", [pytest.param(1, marks=pytest.mark.slow("the same demo, with nothing to fail")), 40]
)
def test_the_demo_delivers_a_repository_and_leaves_its_ledger(
    tmp_path: Path, path: Path, commits: int
) -> None:
    stream = repository(tmp_path / "paint", commits)
    told = subprocess.run(
        [programs() / "python", DEMO, stream, "--db", path],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stderr == ""
    for step in range(1, 9):
        assert f"\n{step}. " in told.stdout
    assert "died of signal 9" in told.stdout or commits == 1
    assert "hunter2" not in told.stdout
    with ledger.open(path) as book:
        assert book.verify().ok
        for consumer in ("search-index", "mailer"):
            assert book.get(CursorKey(consumer, "paint")).last_sequence == commits
        [reset] = book.entries(EntryQuery(kinds=[CursorReset]))
        assert (reset.actor, reset.metadata) == ("ines", {"ticket": "OPS-12"})
        errors = list(book.entries(EntryQuery(kinds=[ErrorRecorded])))
        assert len(errors) >= commits // 7
        assert all("smtp://mailer:***@" in entry.event.message for entry in errors)  # type: ignore[union-attr]


def test_the_demo_removes_nothing_that_was_named(tmp_path: Path) -> None:
    stream = repository(tmp_path / "paint", 1)
    precious = [tmp_path / name for name in ("x.db", "x.db.backup", "thesis.txt")]
    for file in precious:
        file.write_text("keep me")
    for named in ("x.db", ".", ""):
        told = subprocess.run(
            [programs() / "python", DEMO, stream, "--db", named],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert told.returncode == 1
        assert "only writes to a new file" in told.stdout
    assert [file.read_text() for file in precious] == ["keep me"] * 3


def test_the_demo_says_what_is_wrong_with_a_folder_that_is_no_repository(
    tmp_path: Path, path: Path
) -> None:
    told = subprocess.run(
        [programs() / "python", DEMO, tmp_path, "--db", path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 1
    assert "is no git repository" in told.stdout
    assert not path.exists()
