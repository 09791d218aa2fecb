"""Keys in files: private, whole or not at all, and never used for two histories."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import ledger
from ledger import (
    CursorKey,
    DivergedError,
    InvalidCursorError,
    Ledger,
    LedgerBusyError,
    StorageError,
    TreeHead,
    UnprovenError,
)
from ledger.evidence import key_files
from ledger.evidence.tree_heads import EMPTY_ROOT
from support.cursors import ORDERS
from support.depth import thorough

NAME = "example.com/cursors"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    ledger.make_key(tmp_path / "key", NAME)
    return tmp_path / "key"


def entries(note: str) -> int:
    return TreeHead.unverified(note).entries


def leftovers(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir() if not each.name.startswith("cursors.db")}


def test_a_key_is_for_its_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        ledger.make_key(tmp_path / "key", NAME)
    finally:
        os.umask(before)
    for name in ("key", "key.signed"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    assert leftovers(tmp_path) == {"key", "key.signed"}
    assert entries((tmp_path / "key.signed").read_text()) == 0


@pytest.mark.parametrize("there", ["key", "key.signed"])
@pytest.mark.parametrize("kind", ["file", "folder", "link", "broken link"])
def test_nothing_is_written_over(tmp_path: Path, there: str, kind: str) -> None:
    place = tmp_path / there
    (tmp_path / "else").write_text("something else")
    match kind:
        case "file":
            place.write_text("mine")
        case "folder":
            place.mkdir()
        case "link":
            place.symlink_to("else")
        case _:
            place.symlink_to("nowhere")
    before = leftovers(tmp_path)
    with pytest.raises((InvalidCursorError, StorageError), match=there):
        ledger.make_key(tmp_path / "key", NAME)
    assert leftovers(tmp_path) == before
    assert (tmp_path / "else").read_text() == "something else"


def test_a_second_key_does_not_replace_the_first(key_file: Path) -> None:
    before = key_file.read_text()
    with pytest.raises(InvalidCursorError, match="is not written over"):
        ledger.make_key(key_file, NAME)
    assert key_file.read_text() == before


def test_a_key_that_was_not_made_to_the_end_is_made_again(book: Ledger, key_file: Path) -> None:
    key_file.unlink()
    ledger.make_key(key_file, "example.com/again")
    assert TreeHead.unverified(book.sign(key_file)).origin == "example.com/again"
    book.advance(ORDERS, to=1)
    book.sign(key_file)
    key_file.unlink()
    with pytest.raises(InvalidCursorError, match=r"key\.signed exists"):
        ledger.make_key(key_file, NAME)


@pytest.mark.parametrize("place", ["missing/key", "cursors.db/key"])
def test_a_folder_that_is_none_is_named(book: Ledger, tmp_path: Path, place: str) -> None:
    book.advance(ORDERS, to=1)
    with pytest.raises(StorageError, match=place):
        ledger.make_key(tmp_path / place, NAME)
    with pytest.raises(StorageError, match=place):
        book.sign(tmp_path / place)


def test_what_is_signed_grows_and_is_the_same_for_the_same_ledger(
    book: Ledger, key_file: Path
) -> None:
    notes = []
    for to in (1, 2, 3):
        book.advance(ORDERS, to=to)
        notes.append(book.sign(key_file))
        assert book.sign(key_file) == notes[-1]
        assert (key_file.parent / "key.signed").read_text() == notes[-1]
    assert [entries(note) for note in notes] == [1, 2, 3]
    assert leftovers(key_file.parent) == {"key", "key.signed"}


def test_a_restored_backup_is_not_signed_neither_now_nor_when_it_has_grown(
    book: Ledger, path: Path, key_file: Path
) -> None:
    for to in (1, 2):
        book.advance(ORDERS, to=to)
    shutil.copy(path, path.with_name("backup.db"))
    shutil.copy(f"{path}-wal", f"{path.with_name('backup.db')}-wal")
    book.advance(ORDERS, to=3)
    signed = book.sign(key_file)
    with ledger.open(path.with_name("backup.db"), actor="x") as backup:
        with pytest.raises(DivergedError, match=r"has 2 settled entries, .* has signed 3"):
            backup.sign(key_file)
        for to in (10, 11):
            backup.advance(ORDERS, to=to)
            with pytest.raises(DivergedError, match=r"the first 3 entries .* are not those that"):
                backup.sign(key_file)
    assert (key_file.parent / "key.signed").read_text() == signed
    assert book.sign(key_file) == signed


def test_a_state_that_is_missing_or_was_edited_signs_nothing(
    book: Ledger, key_file: Path, tmp_path: Path
) -> None:
    book.advance(ORDERS, to=1)
    note = book.sign(key_file)
    state = key_file.with_name("key.signed")
    stranger = ledger.make_key(tmp_path / "stranger", NAME)
    lies = [
        b"",
        note.replace("\n1\n", "\n0\n").encode(),
        note[:-5].encode(),
        b"\xff",
        stranger.sign(TreeHead(NAME, 0, bytes.fromhex("e3b0c442") * 8).text).encode(),
    ]
    for lie in lies:
        state.write_bytes(lie)
        with pytest.raises(UnprovenError, match=r"key\.signed is damaged, so nothing was signed"):
            book.sign(key_file)
        assert state.read_bytes() == lie
    state.unlink()
    with pytest.raises(StorageError, match=r"key\.signed is missing"):
        book.sign(key_file)
    assert not state.exists()


def test_a_key_that_others_may_read_signs_nothing(book: Ledger, key_file: Path) -> None:
    for mode in (0o640, 0o604, 0o620):
        key_file.chmod(mode)
        with pytest.raises(InvalidCursorError, match="chmod 600"):
            book.sign(key_file)
    key_file.chmod(0o600)
    assert book.sign(key_file)


@pytest.mark.parametrize("data", [b"", b"\xff", b"PRIVATE+KEY+x", b"x" * 10_000, b"\0"])
def test_a_file_that_is_no_key_is_named_and_not_shown(
    book: Ledger, key_file: Path, data: bytes
) -> None:
    key_file.write_bytes(data)
    with pytest.raises(InvalidCursorError) as refused:
        book.sign(key_file)
    assert str(refused.value).startswith(f"{key_file}: ")
    assert len(str(refused.value)) < 300


def test_a_process_that_signs_at_the_same_time_is_waited_for_and_not_for_ever(
    book: Ledger, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_files, "WAIT_S_MAX", 0.2)
    with key_file.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(LedgerBusyError, match="another process"):
            book.sign(key_file)
        monkeypatch.setattr(key_files, "WAIT_S_MAX", 30.0)
        threading.Timer(0.2, fcntl.flock, (other, fcntl.LOCK_UN)).start()
        assert book.sign(key_file)


# --- odd files, and two at once ---


@pytest.mark.parametrize("name", ["key", "key.signed"])
def test_a_pipe_in_the_place_of_a_file_is_refused_and_not_waited_for(
    book: Ledger, key_file: Path, name: str
) -> None:
    place = key_file.with_name(name)
    place.unlink()
    os.mkfifo(place, 0o600)
    with pytest.raises(InvalidCursorError, match=r"pipe|not a file of a key"):
        book.sign(key_file)


def test_a_state_behind_a_link_is_refused_because_a_rename_would_leave_it_behind(
    book: Ledger, key_file: Path, tmp_path: Path
) -> None:
    state = key_file.with_name("key.signed")
    state.rename(tmp_path / "elsewhere")
    state.symlink_to("elsewhere")
    before = (tmp_path / "elsewhere").read_bytes()
    book.advance(ORDERS, to=1)
    with pytest.raises(InvalidCursorError, match=r"key\.signed' is a link"):
        book.sign(key_file)
    assert state.is_symlink()
    assert (tmp_path / "elsewhere").read_bytes() == before


def test_keys_that_are_made_at_once_in_one_place_are_one_key_with_its_own_state(
    book: Ledger, tmp_path: Path
) -> None:
    for nth in range(thorough(30, 6)):
        place = tmp_path / f"key{nth}"
        # What is left over of a key that was not made to the end, which each would put away.
        (tmp_path / f"key{nth}.signed").write_text(
            ledger.SigningKey.new(NAME).sign(TreeHead(NAME, 0, EMPTY_ROOT).text)
        )
        ends: list[object] = []

        def make(place: Path = place, ends: list[object] = ends) -> None:
            try:
                ends.append(ledger.make_key(place, NAME))
            except InvalidCursorError as error:
                ends.append(error)

        threads = [threading.Thread(target=make) for _ in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        [made] = [end for end in ends if isinstance(end, ledger.SigningKey)]
        assert TreeHead.opened(book.sign(place), [made.verifier]).entries == 0


def test_where_nothing_can_be_locked_nothing_is_signed(
    book: Ledger, key_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: int) -> None:
        # As of NFS, of a file that was opened to be read.
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    book.advance(ORDERS, to=1)
    monkeypatch.setattr(fcntl, "flock", refused)
    for act in (lambda: book.sign(key_file), lambda: ledger.make_key(tmp_path / "new", NAME)):
        with pytest.raises(StorageError, match="one of the network may have no locks"):
            act()
    assert entries(key_file.with_name("key.signed").read_text()) == 0
    assert leftovers(tmp_path) == {"key", "key.signed"}


def test_a_folder_that_cannot_be_written_to_signs_nothing(
    book: Ledger, key_file: Path, tmp_path: Path
) -> None:
    state = key_file.with_name("key.signed")
    before = state.read_bytes()
    book.advance(ORDERS, to=1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50, limits[1]))
    try:
        with pytest.raises(StorageError, match=r"key\.signed: File too large"):
            book.sign(key_file)
        with pytest.raises(StorageError, match=r"second\.signed: File too large"):
            ledger.make_key(tmp_path / "second", NAME)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert state.read_bytes() == before
    assert leftovers(tmp_path) == {"key", "key.signed"}
    assert entries(book.sign(key_file)) == 1


SIGN = """
import os, signal, sys, ledger
from ledger.evidence import key_files
rename = os.rename
def killed(*names, **more):
    if sys.argv[3] == "after":
        rename(*names, **more)
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[3] != "never":
    os.rename = killed
with ledger.open(sys.argv[1]) as book:
    print(book.sign(sys.argv[2]), end="")
"""


def sign_elsewhere(path: Path, key_file: Path, when: str) -> subprocess.CompletedProcess[str]:
    program = f"import sys; sys.path[:0] = {sys.path!r}\n{SIGN}"
    return subprocess.run(
        [sys.executable, "-c", program, str(path), str(key_file), when],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("when", "signed"), [("before", 1), ("after", 2)])
def test_a_kill_between_the_state_and_the_note_signs_no_second_history(
    book: Ledger, path: Path, key_file: Path, when: str, signed: int
) -> None:
    state = key_file.with_name("key.signed")
    book.advance(ORDERS, to=1)
    book.sign(key_file)
    book.advance(ORDERS, to=2)
    killed = sign_elsewhere(path, key_file, when)
    assert (killed.returncode, killed.stdout) == (-signal.SIGKILL, "")
    assert entries(state.read_text()) == signed
    # Nobody has seen the note, and still no other tree of that size is signed.
    with ledger.open(path.with_name("other.db"), actor="x") as other:
        other.advance(ORDERS, to=1)
        other.advance(ORDERS, to=7)
        with pytest.raises(DivergedError):
            other.sign(key_file)
    again = sign_elsewhere(path, key_file, "never")
    assert entries(again.stdout) == 2
    assert again.stdout == book.sign(key_file)


def test_processes_that_sign_and_append_at_once_sign_one_history(
    book: Ledger, path: Path, key_file: Path
) -> None:
    notes: list[str] = []

    def work(number: int) -> None:
        key = CursorKey("sender", str(number))
        with ledger.open(path, actor="x") as own:
            for to in range(1, thorough(30, 8) + 1):
                own.advance(key, to=to)
                notes.append(own.sign(key_file))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    heads = {TreeHead.unverified(note) for note in notes}
    assert len({head.entries for head in heads}) == len(heads)
    assert book.verify([head.checkpoint for head in heads]).ok
