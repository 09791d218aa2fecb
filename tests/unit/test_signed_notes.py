"""Signed notes: what is one, what is none, and that nothing that is read ends in a crash."""

from __future__ import annotations

import pickle
import subprocess
import sys
from base64 import b64decode, urlsafe_b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import ledger
from ledger import InvalidCursorError, SigningKey, TreeHead, UnprovenError, VerifierKey, open_note
from ledger.evidence.keys import encoded
from ledger.evidence.notes import NOTE_BYTES_MAX
from ledger.evidence.tree_heads import EMPTY_ROOT

KEY = SigningKey("example.com/cursors", bytes(range(32)))
OTHER = SigningKey("example.com/others", bytes(range(1, 33)))
VKEY = "example.com/cursors+a7f4c4ee+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"
# Its base64 has both characters that another alphabet writes otherwise.
HEAD = TreeHead("example.com/cursors", 42, b"\xfb\xff" * 16)
NOTE = KEY.sign(HEAD.text)
LINE = NOTE.splitlines(keepends=True)[-1]
SIGNATURE = LINE.split()[-1]
UNUSED_BITS = chr(ord(SIGNATURE[-2]) + 1) + "="
BY_OTHER = OTHER.sign(HEAD.text).splitlines(keepends=True)[-1]


def opened(note: str | bytes) -> TreeHead:
    return TreeHead.opened(note, [KEY.verifier])


def test_a_note_is_what_others_write() -> None:
    assert HEAD.text == f"example.com/cursors\n42\n{encoded(HEAD.root)}\n"
    assert f"{HEAD.text}\n— example.com/cursors {SIGNATURE}\n" == NOTE
    assert KEY.verifier.text == VKEY
    assert VerifierKey.parse(f"{VKEY}\n") == KEY.verifier
    assert SigningKey.parse(KEY.text) == KEY
    assert opened(NOTE) == opened(NOTE.encode()) == HEAD


def test_openssl_verifies_the_signature(tmp_path: Path) -> None:
    """Ed25519 of RFC 8032 over the text: nothing of ours is in between."""
    spki = bytes.fromhex("302a300506032b6570032100") + KEY.verifier.public
    pem = f"-----BEGIN PUBLIC KEY-----\n{encoded(spki)}\n-----END PUBLIC KEY-----\n"
    (tmp_path / "key.pem").write_text(pem)
    (tmp_path / "text").write_text(HEAD.text)
    (tmp_path / "signature").write_bytes(b64decode(SIGNATURE)[4:])
    command = "openssl pkeyutl -verify -pubin -inkey key.pem -rawin -in text -sigfile signature"
    done = subprocess.run(
        command.split(), cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "Signature Verified Successfully")
    (tmp_path / "text").write_text(HEAD.text.replace("42", "43"))
    again = subprocess.run(command.split(), cwd=tmp_path, capture_output=True, check=False)
    assert again.returncode == 1


def test_a_key_that_is_not_known_is_ignored_and_a_known_one_must_hold() -> None:
    both = NOTE + BY_OTHER
    assert opened(both) == HEAD
    assert TreeHead.opened(both, [KEY.verifier, OTHER.verifier]) == HEAD
    # Whatever a key signs with that is not known, and however long.
    unknown = f"— example.com/other {encoded(bytes(3_000))}\n"
    assert opened(NOTE + unknown) == HEAD
    # The name of a known key with the id of another, and the other way round.
    assert opened(NOTE + BY_OTHER.replace("others", "cursors")) == HEAD
    assert opened(NOTE + LINE.replace("cursors", "others")) == HEAD
    false = LINE.replace(SIGNATURE, encoded(KEY.verifier.id + bytes(64)))
    for note in (NOTE + false, NOTE.replace(LINE, false) + LINE):
        with pytest.raises(UnprovenError, match="it was changed"):
            opened(note)
    assert opened(NOTE + LINE) == HEAD
    with pytest.raises(UnprovenError, match="not by example"):
        opened(OTHER.sign(HEAD.text))
    with pytest.raises(UnprovenError, match="not by a key that was given"):
        open_note(NOTE, [])


def test_two_keys_of_one_name_and_id_cannot_be_told_apart() -> None:
    class Colliding(VerifierKey):
        id = KEY.verifier.id

    twin = Colliding(KEY.name, bytes(32))
    with pytest.raises(InvalidCursorError, match="two keys"):
        open_note(NOTE, [KEY.verifier, twin])
    assert open_note(NOTE, [KEY.verifier, KEY.verifier]) == HEAD.text


MUTANTS = {
    "CRLF": NOTE.replace("\n", "\r\n"),
    "a carriage return": NOTE.replace("42\n", "42\r\n"),
    "base64url": NOTE.replace(SIGNATURE, SIGNATURE.replace("+", "-").replace("/", "_")),
    "no padding": NOTE.replace("=\n", "\n"),
    "bits behind the end": NOTE.replace(
        SIGNATURE, f"{SIGNATURE[:-2]}{chr(ord(SIGNATURE[-2]) + 1)}="
    ),
    "a blank in the signature": NOTE.replace(SIGNATURE, SIGNATURE[:9] + " " + SIGNATURE[9:]),
    "leading zeros": NOTE.replace("42", "042"),
    "a sign": NOTE.replace("42", "+42"),
    "Arabic digits": NOTE.replace("42", "٤٢"),
    "a size that no tree has": NOTE.replace("42", "9" * 30),
    "another size": NOTE.replace("42", "43"),
    "another origin": NOTE.replace("cursors\n42", "cursor\n42"),
    "cut": NOTE[:-1],
    "cut in the signature": NOTE[:-9] + "\n",
    "no signature": NOTE.replace(LINE, ""),
    "no empty line": NOTE.replace("\n\n", "\n"),
    "two empty lines": NOTE.replace("\n\n", "\n\n\n"),
    "text behind the signature": NOTE + "and more\n",
    "a hyphen": NOTE.replace("—", "-"),
    "two hyphens": NOTE.replace("—", "--"),
    "another id": NOTE.replace(SIGNATURE, "AAAA" + SIGNATURE[4:]),
    "a short signature": NOTE.replace(SIGNATURE, encoded(KEY.verifier.id + bytes(63))),
    "an id alone": NOTE.replace(SIGNATURE, encoded(KEY.verifier.id)),
    "a space of Unicode in the name": NOTE.replace("— example.com/", "— example.com/\u00a0"),
    "plus in the name": NOTE.replace("— example.com/cursors", "— example.com+cursors"),
    "no name": NOTE.replace("— example.com/cursors", "— "),
    "composed otherwise": NOTE.replace("example", "e\u0301xample"),
    "a mark of byte order": "\ufeff" + NOTE,
    "a NUL": NOTE.replace("42", "42\0"),
    "a tab": NOTE.replace("42", "\t42"),
    "a lone surrogate": NOTE.replace("42", "42\ud800"),
    "101 signatures": NOTE + BY_OTHER * 100,
    "a megabyte": NOTE + BY_OTHER * 10_000,
    "nothing": "",
    "an end of line": "\n",
    "ends of lines": "\n\n\n",
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_of_a_note_is_refused(name: str) -> None:
    assert MUTANTS[name] != NOTE, "the mutant is none"
    with pytest.raises(UnprovenError) as refused:
        opened(MUTANTS[name])
    assert str(refused.value).endswith(".")
    assert str(pickle.loads(pickle.dumps(refused.value))) == str(refused.value)


def test_a_note_has_as_many_bytes_as_a_file_of_it() -> None:
    line = "\N{EM DASH}" * ((NOTE_BYTES_MAX - len(NOTE.encode())) // 3)
    for more, fits in ((line[:-1], True), (line + "\N{EM DASH}" * 2, False)):
        note = KEY.sign(f"{HEAD.text}{more}\n")
        assert (len(note.encode()) <= NOTE_BYTES_MAX) == fits
        assert len(note) < NOTE_BYTES_MAX
        for given_as in (note, note.encode()):
            if fits:
                assert opened(given_as).entries == HEAD.entries
                continue
            with pytest.raises(UnprovenError, match="no note is so long"):
                opened(given_as)


def test_sixteen_signatures_and_more_are_accepted() -> None:
    assert opened(NOTE + BY_OTHER * 99) == HEAD


@pytest.mark.parametrize(
    "text",
    [
        "example.com/cursors\n42\n",
        f"example.com/cursors\n42\n{encoded(bytes(31))}\n",
        f"example.com/cursors\n42\n{urlsafe_b64encode(HEAD.root).decode()}\n",
        f"example.com/cursors\n42\n{encoded(HEAD.root)}\n\nmore\n",
        f"\n42\n{encoded(HEAD.root)}\n",
        f"example.com/cursors\n00\n{encoded(EMPTY_ROOT)}\n",
        f"example.com/cursors\n0\n{encoded(HEAD.root)}\n",
        f"example.com/cursors\n-1\n{encoded(HEAD.root)}\n",
        f"example.com/cursors\n4 2\n{encoded(HEAD.root)}\n",
        f"example.com/cursors\n{2**63}\n{encoded(HEAD.root)}\n",
    ],
)
def test_a_note_that_is_signed_and_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(UnprovenError, match="is no checkpoint"):
        opened(KEY.sign(text))


def test_lines_behind_the_root_are_kept() -> None:
    head = TreeHead("example.com/cursors", 0, EMPTY_ROOT, ("one", "two lines — really"))
    assert opened(KEY.sign(head.text)) == head


def test_a_note_about_another_ledger_is_refused() -> None:
    note = KEY.sign(TreeHead("example.com/elsewhere", 42, HEAD.root).text)
    with pytest.raises(UnprovenError, match="elsewhere', not about"):
        opened(note)
    assert TreeHead.opened(note, [KEY.verifier], origin="example.com/elsewhere").entries == 42
    with pytest.raises(UnprovenError, match="not about example"):
        TreeHead.opened(NOTE, [KEY.verifier], origin="example.com/elsewhere")


def test_every_part_and_every_change_of_a_byte_of_a_key_is_refused() -> None:
    for text in (VKEY, KEY.text):
        kind = VerifierKey if text == VKEY else SigningKey
        parts = {text[a:b] for a in range(len(text)) for b in range(a, len(text) + 1)} - {text}
        bytes_ = text.encode()
        shifted = {
            (bytes_[:n] + bytes([byte + 1]) + bytes_[n + 1 :]).decode()
            for n, byte in enumerate(bytes_)
        }
        for each in parts | shifted:
            with pytest.raises(InvalidCursorError):
                kind.parse(each)


@pytest.mark.parametrize("name", ["", " ", "a b", "a+b", "a\nb", "a\u2003b", "a\u0085b", "x" * 513])
def test_a_name_that_no_note_can_have_is_refused(name: str) -> None:
    with pytest.raises(InvalidCursorError, match="cannot be the origin"):
        SigningKey.new(name)


@pytest.mark.parametrize("kind", [0, 2, 4, 6, 255])
def test_a_key_of_another_kind_is_refused_by_its_kind(kind: int) -> None:
    key = bytes([kind]) + KEY.verifier.public
    key_id = sha256(b"name\n" + key).hexdigest()[:8]
    with pytest.raises(InvalidCursorError, match=f"is of kind {kind} "):
        VerifierKey.parse(f"name+{key_id}+{encoded(key)}")


def test_the_secret_is_not_shown() -> None:
    assert KEY.text.split("+")[-1][:12] not in repr(KEY)
    with pytest.raises(InvalidCursorError) as refused:
        SigningKey.parse(KEY.text[:-3])
    assert KEY.text.split("+")[-1][:12] not in str(refused.value)


@pytest.mark.parametrize(
    ("origin", "entries", "root", "more"),
    [
        ("example.com/cursors\n99", 1, bytes(32), ()),
        ("", 1, bytes(32), ()),
        ("a\tb", 1, bytes(32), ()),
        ("a\ud800", 1, bytes(32), ()),
        (None, 1, bytes(32), ()),
        ("a", -1, bytes(32), ()),
        ("a", True, bytes(32), ()),
        ("a", 2**63, bytes(32), ()),
        ("a", 1, bytes(31), ()),
        ("a", 1, "x" * 32, ()),
        ("a", 1, bytes(32), ("",)),
        ("a", 1, bytes(32), ("one\ntwo",)),
    ],
)
def test_no_head_is_made_that_could_not_be_read_again(
    origin: Any, entries: Any, root: Any, more: Any
) -> None:
    with pytest.raises(InvalidCursorError):
        TreeHead(origin, entries, root, more)


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(33), "x" * 32, None])
def test_no_key_is_made_of_other_than_its_bytes(key: Any) -> None:
    for kind in (VerifierKey, SigningKey, ledger.WitnessKey, ledger.CosigningKey):
        with pytest.raises(InvalidCursorError, match="32 bytes of an Ed25519 key"):
            kind("example.com/cursors", key)


def test_a_text_with_controls_is_no_head() -> None:
    for text in (HEAD.text.replace("example", "ex\tample"), HEAD.text + "\0\n"):
        with pytest.raises(UnprovenError, match="is no checkpoint"):
            TreeHead.parse(text)


@pytest.mark.parametrize("kind", [VerifierKey, ledger.WitnessKey])
def test_a_private_key_in_the_place_of_a_public_one_is_not_shown(
    kind: type[VerifierKey | ledger.WitnessKey],
) -> None:
    for text in (KEY.text, f" {KEY.text}\n", KEY.text[:-3], ledger.CosigningKey.new("x").text):
        with pytest.raises(InvalidCursorError, match="this is a private key") as refused:
            kind.parse(text)
        assert not {text.strip()[n : n + 8] for n in range(40, 60)} & {
            str(refused.value)[n : n + 8] for n in range(len(str(refused.value)))
        }


def test_without_the_extra_it_is_said_how_to_get_it() -> None:
    program = (
        "import sys; sys.modules['cryptography'] = None\n"
        "import ledger\n"
        "try:\n    ledger.SigningKey.new('example.com/cursors')\n"
        "except ledger.StorageError as error:\n    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{program}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "pip install '.[evidence]'" in done.stdout


TEXTS = st.text(st.characters(codec="utf-8") | st.sampled_from("\n— +/="), max_size=200)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Return a note some bytes of which were removed, put in, changed or repeated."""
    data = bytearray(NOTE.encode())
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        until = draw(st.integers(at, len(data)))
        data[at:until] = draw(st.binary(max_size=8) | st.just(bytes(data[at:until]) * 2))
    return bytes(data)


@given(damaged())
def test_a_damaged_note_is_refused_and_never_crashes(note: bytes) -> None:
    try:
        head = opened(note)
    except UnprovenError:
        return
    # What was put in may be a line of a key that is not known, or the same signature again.
    assert head == HEAD
    assert note.startswith(HEAD.text.encode())


@given(TEXTS | st.binary(max_size=200))
@example("")
@example("\n\n— ")
def test_no_text_crashes_what_reads_notes_and_keys(text: str | bytes) -> None:
    with pytest.raises(UnprovenError):
        opened(text)
    if isinstance(text, str):
        for kind in (VerifierKey, SigningKey):
            with pytest.raises(InvalidCursorError):
                kind.parse(text)


@given(TEXTS)
def test_what_can_be_signed_can_be_opened(text: str) -> None:
    text += "\n"
    try:
        note = KEY.sign(text)
    except ledger.InvalidCursorError:
        return
    assert open_note(note.encode(), [KEY.verifier]) == text
