"""`evidence` writes bundles, and `verify-evidence` says what they prove."""

from __future__ import annotations

import csv
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from projections.cli import main
from support.commands import COMMAND, OWNER, Run, records
from support.places import TOP

STORES = "every"
NAME = "example.com/orders"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def signed(folder: Path, run: Run) -> Run:
    """Return what runs the command, on a ledger that was signed over 2 entries, and over 4."""
    (folder / "vkey").write_text(run("key", "new", "key", "--origin", NAME).stdout)
    for to in (41, 44):
        run("advance", *OWNER, "--to", to, "--meta", "by=hand")
    (folder / "old.note").write_text(run("checkpoint", "--sign", "key").stdout)
    run("error", *OWNER, "-m", "HTTP 503")
    run("advance", "mailer", "invoices", "--to", 7, "--actor", "ines")
    (folder / "note").write_text(run("checkpoint", "--sign", "key").stdout)
    return run


def alone(*arguments: str) -> Result:
    """Run a command where there is no ledger."""
    return CliRunner().invoke(main, ["--db", "/nowhere/cursors.db", *arguments])


def proved(file: str, *arguments: str) -> dict[str, object]:
    done = alone("verify-evidence", file, "--vkey", "vkey", "--origin", NAME, *arguments)
    assert done.exit_code == 0, done.output
    [said] = records(done)
    return dict(said)


def test_all_entries_prove_that_nothing_is_left_out(signed: Run, folder: Path) -> None:
    done = signed("evidence", "--checkpoint", "note", "-o", "all.jsonl")
    assert (done.exit_code, done.stdout) == (0, ""), done.output
    assert done.stderr == f"4 of the 4 entries of {NAME}: complete, so that nothing is left out\n"
    assert stat.S_IMODE((folder / "all.jsonl").stat().st_mode) == 0o600
    said = proved("all.jsonl", "--checkpoint", "old.note")
    assert said["kind"] == "complete"
    assert (said["entries"], said["listed"], said["cursors"]) == (4, 4, 2)
    assert said["since"] == {
        "entries": 2,
        "root": signed_root(signed, "old.note"),
    }
    table = alone(
        "verify-evidence", "all.jsonl", "--vkey", "vkey", "--checkpoint", "old.note", "-o", "table"
    )
    assert table.stdout == (
        f"proved: complete: the 4 entries of {NAME}, up to where the checkpoint ends; nothing is "
        "left out\n"
        "2 cursors: webhooks/orders, mailer/invoices\n"
        "they begin with the 2 of old.note, unchanged\n"
    )


def signed_root(run: Run, note: str) -> str:
    found = run("verify", "--checkpoint", note, "--vkey", "vkey")
    root: str = records(found)[0]["against"][0]["checkpoint"]["root"]
    return root


def test_chosen_entries_prove_that_they_are_there_and_say_that_it_is_no_more(
    signed: Run, folder: Path
) -> None:
    for arguments, listed in (
        (("webhooks/orders",), 3),
        (OWNER, 3),
        (("--stream", "orders", "--kind", "error"), 1),
        (("--by", "ines"), 1),
        (("--since", "1h"), 4),
        (("webhooks/orders", "--covering", "43"), 1),
    ):
        done = signed("evidence", *arguments, "--checkpoint", "note", "-o", "some.jsonl")
        assert done.exit_code == 0, done.output
        assert done.stderr == (
            f"{listed} of the 4 entries of {NAME}: selected; left-out entries are not excluded\n"
        )
        said = proved("some.jsonl")
        assert (said["kind"], said["entries"], said["listed"]) == ("selected", 4, listed)
        table = alone("verify-evidence", "some.jsonl", "--vkey", "vkey", "--table").stdout
        assert table.startswith(
            f"proved: selected: {listed} of the 4 entries of {NAME}; left-out entries are not "
            "excluded\n"
        )
    refused = alone("verify-evidence", "some.jsonl", "--vkey", "vkey", "--checkpoint", "old.note")
    assert refused.exit_code == 5
    assert "ask for evidence --since-note with that" in refused.stderr
    signed("evidence", *OWNER, "--sign", "key", "--since-note", "old.note", "-o", "some.jsonl")
    assert proved("some.jsonl", "--checkpoint", "old.note")["since"] is not None
    assert proved("some.jsonl")["since"] is None
    del folder


def test_the_entries_are_shown_in_each_form(signed: Run, folder: Path) -> None:
    signed("evidence", "--checkpoint", "note", "-o", "all.jsonl")
    asked = ("verify-evidence", "all.jsonl", "--vkey", "vkey", "--entries")
    lines = records(alone(*asked, "--jsonl"))
    own = records(signed("entries"))
    assert [line["index"] for line in lines] == [0, 1, 2, 3]
    for line, entry in zip(lines, own, strict=True):
        assert {**line, **entry} == {**line, "position": entry["position"]}
    assert json.loads(alone(*asked, "--json").stdout) == lines
    rows = list(csv.DictReader(alone(*asked, "--csv").stdout.splitlines()))
    assert [row["sequence"] for row in rows] == ["41", "44", "", "7"]
    assert [row["consumer_id"] for row in rows] == ["webhooks"] * 3 + ["mailer"]
    table = alone(*asked, "--table")
    assert "cursor.error.v1" in table.stdout
    assert table.stderr.startswith("proved: complete")
    assert alone(*asked, "--template", "{actor} {version}").stdout.endswith("ines 1\n")
    del folder


def test_a_witness_must_have_cosigned_the_checkpoint_of_a_bundle(signed: Run, folder: Path) -> None:
    key = signed("key", "new", "witness", "--witness", "example.net/ines").stdout
    (folder / "witness.vkey").write_text(key)
    cosigned = signed("cosign", "note", "--key", "witness", "--vkey", "vkey").stdout
    (folder / "cosigned").write_text(cosigned)
    asked = ("--vkey", "vkey", "--witness", "witness.vkey")
    for note, code in (("cosigned", 0), ("note", 5)):
        signed("evidence", "--checkpoint", note, "-o", "all.jsonl")
        done = alone("verify-evidence", "all.jsonl", *asked)
        assert done.exit_code == code, done.output
        assert proved("all.jsonl")["listed"] == 4
        if code:
            assert "missing: example.net/ines" in " ".join(done.stderr.split())
        else:
            assert "cosigned by example.net/ines at 20" in done.stderr


def test_a_bundle_goes_to_standard_output_and_is_read_from_a_pipe(
    signed: Run, folder: Path, target: str
) -> None:
    signed("evidence", "--checkpoint", "note", "-o", "all.jsonl")
    environment = {**os.environ, "CURSOR_LEDGER_DB": target, "PYTHONPATH": str(TOP)}
    made = subprocess.run(
        [COMMAND, "evidence", "--checkpoint", "note", "-o", "-"],
        env=environment,
        capture_output=True,
        check=True,
    )
    assert made.stdout == (folder / "all.jsonl").read_bytes()
    read: list[str | Path] = [COMMAND, "verify-evidence", "-", "--vkey", "vkey"]
    done = subprocess.run(read, env=environment, input=made.stdout, capture_output=True, check=True)
    assert json.loads(done.stdout)["listed"] == 4
    piped = subprocess.run(
        [*read, "--entries"], env=environment, input=made.stdout, capture_output=True, check=False
    )
    assert piped.returncode == 2
    assert b"--entries reads FILE twice" in piped.stderr


def test_the_verifier_is_printed_and_runs_by_itself(signed: Run, folder: Path) -> None:
    printed = signed("evidence", "--verifier").stdout
    assert printed == (TOP / "ledger" / "evidence" / "standalone.py").read_text("utf-8")
    signed("evidence", "--verifier", "-o", "verify.py")
    assert (folder / "verify.py").read_text("utf-8") == printed
    signed("evidence", "--checkpoint", "note", "-o", "all.jsonl")
    done = subprocess.run(
        [sys.executable, "-I", "verify.py", "all.jsonl", "--vkey", "vkey", "--entries"],
        capture_output=True,
        text=True,
        check=False,
    )
    if "No such file or directory: 'openssl'" in done.stderr:
        pytest.skip("openssl is not there, and the verifier needs it")
    assert done.returncode == 0, done.stderr
    *entries, last = done.stdout.splitlines()
    assert last == f"proved: complete: all 4 entries of {NAME}; nothing is left out"
    assert [json.loads(entry)[11] for entry in entries] == [41, 44, None, 7]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-o", "x"), "Name either --checkpoint FILE, or --sign KEY."),
        (("--checkpoint", "note", "--sign", "key", "-o", "x"), "Name either --checkpoint FILE"),
        (("--checkpoint", "note"), "Name the file to write with -o FILE"),
        (("--verifier", "--checkpoint", "note", "-o", "x"), "--verifier goes with -o FILE"),
        (("--verifier", *OWNER), "--verifier goes with -o FILE"),
        (("--verifier", "--by", "x"), "--verifier goes with -o FILE"),
        (("--verifier", "-o", "."), "is a directory"),
        (("--checkpoint", "note", "-o", "note"), "'note' is 'note', which is read"),
        (
            ("--checkpoint", "note", "--by", "x", "--since-note", "old.note", "-o", "old.note"),
            "read",
        ),
        (("--sign", "key", "-o", "key"), "'key' is 'key', which is read"),
        (("--sign", "key", "-o", "./key.signed"), "'key.signed', which is read"),
        (("--sign", "key", "-o", "."), "is a directory"),
        (("--checkpoint", "note", "--since-note", "old.note", "-o", "x"), "--since-note is of use"),
        (("a", "b", "c", "d", "--sign", "key", "-o", "x"), "A cursor is CONSUMER STREAM"),
        ((*OWNER, "--stream", "orders", "--sign", "key", "-o", "x"), "Name the cursor, or choose"),
        (("webhooks", "--sign", "key", "-o", "x"), "The stream is missing"),
        (("--by", "nobody", "--checkpoint", "note", "-o", "x"), "none of the entries under"),
    ],
    ids=lambda given: given if isinstance(given, str) else " ".join(given),
)
def test_wrong_usage_exits_with_2_and_changes_no_file(
    signed: Run, folder: Path, arguments: tuple[str, ...], said: str
) -> None:
    for name in ("key", "key.signed", "note", "old.note"):
        (folder / name).chmod(0o600)
    before = {each.name: each.read_bytes() for each in folder.iterdir() if "db" not in each.name}
    refused = signed("evidence", *arguments)
    assert (refused.exit_code, refused.stdout) == (2, ""), refused.output
    assert said in " ".join(refused.stderr.split())
    after = {each.name: each.read_bytes() for each in folder.iterdir() if "db" not in each.name}
    assert after == before


def test_the_ledger_itself_is_never_written_over(signed: Run, folder: Path, kind: str) -> None:
    if kind != "sqlite":
        pytest.skip("a ledger on PostgreSQL is no file")
    before = (folder / "cursors.db").read_bytes()
    for name in ("cursors.db", "cursors.db-wal"):
        refused = signed("evidence", "--sign", "key", "-o", name)
        assert refused.exit_code == 2
        assert "is the ledger, or a part of it" in " ".join(refused.stderr.split())
    assert (folder / "cursors.db").read_bytes() == before


def test_a_bundle_that_cannot_be_made_leaves_what_was_there(signed: Run, folder: Path) -> None:
    (folder / "kept.jsonl").write_text("kept")
    other = CliRunner().invoke(
        main, ["--db", "other.db", "advance", *OWNER, "--to", "1"], catch_exceptions=False
    )
    assert other.exit_code == 0
    refused = CliRunner().invoke(
        main, ["--db", "other.db", "evidence", "--checkpoint", "note", "-o", "kept.jsonl"]
    )
    assert refused.exit_code == 5
    assert "note: the first 4 entries of this ledger do not have the root" in refused.stderr
    assert (folder / "kept.jsonl").read_text() == "kept"
    assert not list(folder.glob(".cursor-ledger*"))
    missing = signed("evidence", "nobody", "orders", "--checkpoint", "note", "-o", "kept.jsonl")
    assert missing.exit_code == 4


@pytest.mark.parametrize(
    "arguments",
    [
        ("all.jsonl",),
        ("all.jsonl", "--vkey", "nonsense"),
        ("missing", "--vkey", "vkey"),
        (".", "--vkey", "vkey"),
        ("all.jsonl", "--vkey", "vkey", "--checkpoint", "missing"),
    ],
    ids=" ".join,
)
def test_a_verifier_who_asks_wrongly_is_told(
    signed: Run, folder: Path, arguments: tuple[str, ...]
) -> None:
    signed("evidence", "--checkpoint", "note", "-o", "all.jsonl")
    refused = alone("verify-evidence", *arguments)
    assert (refused.exit_code, refused.stdout) == (2, ""), refused.output
    del folder
