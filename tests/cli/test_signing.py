"""reset signs a plan with an SSH key, or takes the signature that was made elsewhere."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest

import ledger
from ledger import AllowedSigners, CursorKey
from support.commands import OWNER, Run, lines, records
from support.plan_files import EXPORT
from support.ssh_keys import Keys, judged, needs_ssh

pytestmark = needs_ssh

TO_41 = ("reset", *OWNER, "--to", 41, "--reason", "lost", "--meta", "ticket=OPS-1")


def by_hand(keys: Keys, name: str, file: Path) -> Path:
    """Sign a file as somebody does on another machine."""
    subprocess.run(
        ["ssh-keygen", "-q", "-Y", "sign", "-n", "cursor-ledger", "-f", keys.folder / name, file],
        check=True,
        capture_output=True,
    )
    return file.with_name(file.name + ".sig")


def signers_of(target: str, keys: Keys) -> list[tuple[str, str]]:
    """Return the principals of each reset: of its planner, and of its approver."""
    with ledger.open(target) as book:
        found = judged(book, AllowedSigners(keys.allowed(*map(keys.line, ("ines", "omar")))))
    return [(each.by.signer, each.approval.signer if each.approval else "") for each in found]


@pytest.fixture
def file(path: Path) -> Path:
    return path.with_name("plan.jsonl")


def test_a_reset_is_signed_when_it_is_made(three: Run, target: str, keys: Keys) -> None:
    done = three(*TO_41, "--actor", "ines", "--sign", keys.folder / "ines", "--execute", "--yes")
    assert done.exit_code == 0, done.output
    assert records(done)[0]["last_sequence"] == 41
    assert signers_of(target, keys) == [("ines@example.com", "")]


def test_a_plan_is_signed_by_hand_and_executed_by_somebody_else(
    three: Run, target: str, keys: Keys, file: Path
) -> None:
    text = file.with_name("plan.txt")
    shown = three(*EXPORT, "--actor", "ines", "--export", file, "--to-sign", text)
    assert shown.exit_code == 0, shown.output
    assert f"ssh-keygen -Y sign -n cursor-ledger -f KEY {text}\n" in shown.stderr
    signature = by_hand(keys, "ines", text)
    command = shown.stderr.splitlines()[-1]
    assert f"--signature {signature} --execute" in command
    words = shlex.split(command.partition(" reset ")[2])
    done = three("reset", *words, "--actor", "omar")
    assert done.exit_code == 0, done.output
    assert signers_of(target, keys) == [("ines@example.com", "")] * 3
    assert {entry["actor"] for entry in records(three("resets"))} == {"omar"}


def test_the_text_for_a_plan_that_is_there_already_is_the_same(three: Run, file: Path) -> None:
    first, again = file.with_name("first.txt"), file.with_name("again.txt")
    three(*EXPORT, "--actor", "ines", "--export", file, "--to-sign", first)
    assert three("reset", "--from-file", file, "--to-sign", again).exit_code == 0
    assert first.read_bytes() == again.read_bytes()
    assert first.stat().st_mode & 0o777 == 0o600


def test_a_plan_that_is_exported_is_signed_beside_it(
    three: Run, target: str, keys: Keys, file: Path
) -> None:
    key, other = keys.folder / "ines", keys.folder / "omar"
    options = ("--sign", key, "--approve", other, "--approved-by", "omar")
    shown = three(*EXPORT, "--actor", "ines", "--export", file, *options)
    assert shown.exit_code == 0, shown.output
    assert records(three("resets")) == []
    assert file.with_name("plan.jsonl.sig").read_text().startswith("-----BEGIN SSH SIGNATURE")
    [command] = [line for line in shown.stderr.splitlines() if line.endswith("--execute")]
    done = three("reset", *shlex.split(command.partition(" reset ")[2]), "--actor", "eve")
    assert done.exit_code == 0, done.output
    assert signers_of(target, keys) == [("ines@example.com", "omar@example.com")] * 3


def test_two_sign_by_hand(three: Run, target: str, keys: Keys, file: Path) -> None:
    text, approval = file.with_name("plan.txt"), file.with_name("approval.txt")
    three(*EXPORT, "--actor", "ines", "--export", file, "--to-sign", text)
    options = ("reset", "--from-file", file)
    assert three(*options, "--to-sign", approval, "--approved-by", "omar").exit_code == 0
    assert 'approved by: "omar"\n' in approval.read_text()
    both = (
        "--signature",
        by_hand(keys, "ines", text),
        "--approval",
        by_hand(keys, "omar", approval),
    )
    wrong = three(*options, *both, "--approved-by", "eve", "--execute")
    assert wrong.exit_code == 5
    assert "the signature does not hold" in wrong.stderr
    assert three(*options, *both, "--approved-by", "omar", "--execute").exit_code == 0
    assert signers_of(target, keys) == [("ines@example.com", "omar@example.com")] * 3


def test_a_plan_that_was_changed_after_it_was_signed_is_refused(
    three: Run, keys: Keys, file: Path
) -> None:
    text = file.with_name("plan.txt")
    three(*EXPORT, "--actor", "ines", "--export", file, "--to-sign", text)
    signature = by_hand(keys, "ines", text)
    three(*EXPORT[:-1], "ticket=OPS-2", "--actor", "ines", "--export", file)
    refused = three("reset", "--from-file", file, "--signature", signature, "--execute")
    assert refused.exit_code == 5
    assert "the signature does not hold: it is not of this text" in refused.stderr
    assert records(three("resets")) == []


def test_a_signed_plan_is_void_once_a_cursor_has_moved(
    three: Run, target: str, keys: Keys, file: Path
) -> None:
    key = keys.folder / "ines"
    three(*EXPORT, "--actor", "ines", "--export", file, "--sign", key)
    three("advance", *OWNER, "--to", 45)
    refused = three("reset", "--from-file", file, "--signature", f"{file}.sig", "--execute")
    assert refused.exit_code == 3
    assert "is at version 2, not 1" in refused.stderr
    assert signers_of(target, keys) == []


def test_a_plan_that_expires_says_so_and_is_refused_then(
    three: Run, keys: Keys, file: Path
) -> None:
    key = keys.folder / "ines"
    options = ("--export", file, "--sign", key, "--expires-in", "1s")
    assert three(*EXPORT, "--actor", "ines", *options).exit_code == 0
    header = json.loads(file.read_text().splitlines()[0])
    assert header["format"] == "cursor-ledger-plan/3"
    assert header["expires_at"] > header["planned_at"]
    apply = ("reset", "--from-file", file, "--signature", f"{file}.sig", "--execute")
    subprocess.run(["sleep", "1.1"], check=True)
    refused = three(*apply)
    assert refused.exit_code == 2
    assert "the plan has expired at 20" in refused.stderr
    assert three(*EXPORT, "--export", file, "--expires-in", "9999999d").exit_code == 2


def test_lists_only_say_that_there_is_a_signature(three: Run, keys: Keys) -> None:
    three(*TO_41, "--actor", "ines", "--sign", keys.folder / "ines", "--execute", "--yes")
    for command in (("resets",), ("entries",), ("resets", "--groups"), ("describe", *OWNER)):
        shown = three(*command, "--table")
        assert "U1NIU0lH" not in shown.stdout
        assert "is-of" not in shown.stdout
    assert "cursor-ledger/signature=…" in three("resets", "--table").stdout
    [reset] = lines(three, "resets")
    assert reset["metadata"]["cursor-ledger/signature"].startswith("U1NIU0lH")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--sign", "k"), "What is signed is a plan that is kept"),
        (("--to-sign", "t"), "What is signed is a plan that is kept"),
        (("--signature", "S", "--execute"), "What is signed is a plan that is kept"),
        (("--sign", "k", "--signature", "S", "--export", "P"), "--signature has it: choose one"),
        (("--approve", "k", "--approval", "S", "--export", "P"), "--approval has it: choose one"),
        (("--approve", "k", "--export", "P"), "Who approves it?"),
        (("--approve", "k", "--approved-by", "eve", "--export", "P"), "its planner has signed"),
        (("--sign", "k", "--approved-by", "eve", "--export", "P"), "a signature of its own"),
        (("--sign", "nowhere", "--execute", "--yes"), "there is no key 'nowhere'"),
        (("--sign", "S", "--execute", "--yes"), "ssh-keygen has not signed with"),
        (("--signature", "S", "--export", "P"), "it is no signature of ssh-keygen"),
        (("--signature", "nowhere", "--export", "P"), "does not exist"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_options_that_say_too_little_or_too_much_are_refused(
    three: Run, path: Path, options: tuple[str, ...], said: str
) -> None:
    there = path.with_name("S")
    there.write_text("this is no signature\n")
    names = {"S": str(there), "P": str(path.with_name("P")), "t": str(path.with_name("t"))}
    refused = three(*TO_41, *(names.get(option, option) for option in options))
    assert refused.exit_code in {2, 5}
    assert said in refused.stderr
    assert records(three("resets")) == []


def test_beside_a_signed_file_nothing_is_added(three: Run, keys: Keys, file: Path) -> None:
    three(*EXPORT, "--actor", "ines", "--export", file, "--sign", keys.folder / "ines")
    apply = ("reset", "--from-file", file, "--signature", f"{file}.sig", "--execute")
    refused = three(*apply, "--meta", "more=x")
    assert refused.exit_code == 2
    assert "A plan that is signed takes no --meta" in refused.stderr
    assert three(*apply, "--expires-in", "1h").exit_code == 2
    signs_anew = ("reset", "--from-file", file, "--meta", "more=x", "--execute")
    assert three(*signs_anew, "--sign", keys.folder / "ines").exit_code == 0


def test_nobody_writes_a_signature_by_hand(three: Run) -> None:
    for command in (TO_41, ("advance", *OWNER, "--to", 50)):
        refused = three(*command, "--meta", "cursor-ledger/signature=x")
        assert refused.exit_code == 2
        assert "keeps" in refused.stderr
    key = {"consumer_id": "webhooks", "stream_name": "orders"}
    forged = {
        "key": key,
        "last_sequence": 1,
        "reason": "x",
        "metadata": {"cursor-ledger/signature": "x"},
    }
    text = json.dumps({"op": "reset", "reset": forged})
    assert three("append", "--jsonl", "-", text=text).exit_code != 0
    with pytest.raises(ledger.InvalidCursorError, match="keeps signatures"):
        ledger.ResetCursor(CursorKey(*OWNER), 1, "x", metadata={"cursor-ledger/signature": "x"})


def test_a_program_that_is_missing_is_said(
    three: Run, keys: Keys, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(path.parent))
    refused = three(*TO_41, "--sign", keys.folder / "ines", "--execute", "--yes")
    assert refused.exit_code == 1
    assert "ssh-keygen is not installed here" in refused.stderr
    assert records(three("resets")) == []
