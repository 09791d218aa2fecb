"""A tired operator names the wrong file to write to: a key, its state, or one file twice."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import ledger
from support.commands import Run
from support.cursors import ORDERS

PLAN = ("reset", "webhooks", "orders", "customer-7", "--to", "1", "--reason", "x")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str) -> Path:
    monkeypatch.chdir(tmp_path)
    ledger.make_key("orders.key", "example.com/orders")
    ledger.make_witness("ines.key", "example.net/ines")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "ssh.key"], check=True)
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", "pem.key"], check=True)
    with ledger.open(target, actor="tester") as book:
        book.advance(ORDERS, to=5)
        Path("monday.note").write_text(book.sign("orders.key"))
    return tmp_path


WRITERS = {
    "export": ("export", "-o"),
    "its checkpoint": ("export", "-o", "log.jsonl", "--checkpoint"),
    "evidence": ("evidence", "--checkpoint", "monday.note", "-o"),
    "the verifier": ("evidence", "--verifier", "-o"),
    "a plan": (*PLAN, "--export"),
    "a text to be signed": (*PLAN, "--export", "plan.jsonl", "--to-sign"),
    "a report": ("resets", "--report"),
    "a timeline": ("timeline", "webhooks", "orders", "customer-7", "-o"),
}
KEYS = ["orders.key", "orders.key.signed", "ines.key", "ines.key.signed", "ssh.key", "pem.key"]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("key", KEYS)
def test_no_key_and_no_state_of_one_is_written_over(run: Run, name: str, key: str) -> None:
    before = Path(key).read_bytes()
    refused = run(*WRITERS[name], key)
    assert refused.exit_code == 2, refused.output
    assert Path(key).read_bytes() == before
    if name not in {"a report", "a timeline"}:  # these want another name for what they write
        assert "and is not written over" in " ".join(refused.stderr.split())


# Each makes a new file; SQLite would overwrite or remove it with the next entry.
PARTS = {
    "export": ("export", "-o"),
    "archive": ("archive", "--checkpoint", "monday.note", "--vkey", "vkey", "-o"),
    "a backup": ("backup",),
    "a copy": ("copy", "cursors.db"),
    "a key": ("key", "new", "--origin", "example.com/x"),
    "a witness": ("key", "new", "--witness", "example.net/x"),
    "tiles": ("tiles", "--checkpoint", "monday.note"),
    "manual pages": ("man", "--into"),
    "a ledger that is restored": ("restore", "other.db", "--db"),
    "another ledger": ("advance", "webhooks", "orders", "--to", "1", "--db"),
}


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("end", ["-wal", "-shm", "-journal", "-queue"])
def test_nothing_is_made_where_a_part_of_a_database_would_be(
    run: Run, path: Path, name: str, end: str
) -> None:
    words = [*PARTS[name], f"{path.name}{end}"]
    if words[-2] == "--db":
        words = [*words[-2:], *words[:-2]]
    if "vkey" in words:
        words[words.index("vkey")] = run("key", "show", "orders.key").stdout.strip()
    if "restore" in words:
        assert run("backup", "other.db").exit_code == 0
    with ledger.open(path) as book:
        before = book.checkpoint()
    Path(f"{path}{end}").unlink(missing_ok=True)
    refused = run(*words)
    assert refused.exit_code == 2, refused.output
    assert "a part of" in " ".join(refused.stderr.split())
    assert not Path(f"{path}{end}").exists()
    assert not Path(f"{path}{end}.signed").exists()
    with ledger.open(path) as book:
        assert book.checkpoint() == before


TWICE = {
    "export": ("export", "-o", "{0}", "--checkpoint", "{1}"),
    "plan": (*PLAN, "--export", "{0}", "--to-sign", "{1}"),
}


@pytest.mark.parametrize("name", TWICE)
@pytest.mark.parametrize("other", ["it", "./it", "{folder}/it", "link/it"])
@pytest.mark.parametrize("there", [False, True])
def test_one_file_is_not_written_twice(
    folder: Path, run: Run, name: str, other: str, there: bool
) -> None:
    Path("link").symlink_to(".")
    if there:
        Path("it").write_text("mine")
    named = other.replace("{folder}", str(folder))
    refused = run(*(word.replace("{0}", "it").replace("{1}", named) for word in TWICE[name]))
    assert refused.exit_code == 2, refused.output
    assert "name the same file" in " ".join(refused.stderr.split())
    assert (Path("it").read_text() if there else Path("it").exists()) == (there and "mine")
