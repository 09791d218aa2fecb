"""What others verify: `key`, `checkpoint --sign`, `verify --checkpoint`, `proof` and the rest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from projections.cli import main
from support.commands import OWNER, Run, records
from support.targets import new_target

STORES = "every"
NAME = "example.com/orders"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def signed(folder: Path, run: Run) -> Run:
    """Return what runs the command, where notes and proofs are in files."""
    write_proofs(folder, run)
    return run


@pytest.fixture(scope="module")
def audit(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """Return a folder with such files, and its ledger, for commands that change nothing."""
    folder = tmp_path_factory.mktemp("audit")
    with new_target(kind, folder / "cursors.db") as target, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("CURSOR_LEDGER_DB", target)
        patch.setenv("CURSOR_LEDGER_ACTOR", "ops@desk")
        write_proofs(folder, lambda *words: CliRunner().invoke(main, [str(word) for word in words]))
        yield folder, target


def write_proofs(folder: Path, run: Run) -> None:
    made = run("key", "new", "key", "--origin", NAME)
    (folder / "vkey").write_text(made.stdout)
    for to in (41, 44):
        run("advance", *OWNER, "--to", to, "--meta", "by=hand")
    (folder / "old.note").write_text(run("checkpoint", "--sign", "key").stdout)
    run("error", *OWNER, "-m", "HTTP 503")
    (folder / "note").write_text(run("checkpoint", "--sign", "key").stdout)
    positions = [entry["position"] for entry in records(run("entries"))]
    proof = run("proof", positions[1], "--checkpoint", "note")
    assert proof.exit_code == 0, proof.output
    (folder / "proof").write_text(proof.stdout)
    grown = run("proof", "--consistency", "old.note", "--checkpoint", "note")
    (folder / "grown").write_text(grown.stdout)
    (folder / "entry").write_text(run("entries").stdout.splitlines()[1])


def alone(*arguments: str) -> Result:
    """Run a command where there is no ledger."""
    return CliRunner().invoke(main, ["--db", "/nowhere/cursors.db", *arguments])


def test_an_audit_needs_no_ledger(signed: Run, folder: Path) -> None:
    vkey = (folder / "vkey").read_text().strip()
    for key in ("vkey", vkey):
        proved = alone("verify-proof", "proof", "--vkey", key, "--entry", "entry")
        assert proved.exit_code == 0, proved.output
        said = json.loads(proved.stdout)
        own = json.loads((folder / "entry").read_text())
        assert {**said, **own} == {**said, "position": own["position"]}
        assert (said["origin"], said["entries"], said["index"]) == (NAME, 3, 1)
        assert proved.stderr == f"proved: entry 2 of 3 of {NAME}\n"
    grown = alone("verify-proof", "grown", "--since", "old.note", "--vkey", vkey)
    assert (grown.exit_code, grown.stdout) == (
        0,
        f"proved: the 3 entries of {NAME} begin with the 2 of old.note\n",
    )
    found = signed("verify", "--checkpoint", "old.note", "--checkpoint", "note", "--vkey", vkey)
    assert found.exit_code == 0, found.output
    standings = [each["standing"] for each in records(found)[0]["against"]]
    assert standings == ["kept", "kept"]
    assert signed("key", "show", "key").stdout.strip() == vkey


def test_a_proof_may_sign_the_checkpoint_itself(signed: Run, folder: Path) -> None:
    signed("advance", *OWNER, "--to", 50)
    grown = signed("proof", "--consistency", "old.note", "--sign", "key")
    (folder / "grown").write_text(grown.stdout)
    proved = alone("verify-proof", "grown", "--since", "old.note", "--vkey", "vkey")
    assert proved.stdout == f"proved: the 4 entries of {NAME} begin with the 2 of old.note\n"
    again = signed("checkpoint", "--sign", "key").stdout
    assert grown.stdout.endswith(again)


def test_what_is_false_exits_with_5_and_names_the_file(signed: Run, folder: Path) -> None:
    other = signed("key", "new", "other", "--origin", NAME).stdout.strip()
    (folder / "mine").write_text(signed("entries").stdout.splitlines()[0])
    (folder / "edited").write_text((folder / "proof").read_text().replace("index 1", "index 0"))
    (folder / "short").write_text((folder / "note").read_text()[:-9])
    (folder / "empty").write_text("")
    for arguments, said in (
        (("proof", "--vkey", other), "proof: the note is signed by"),
        (("proof", "--vkey", "vkey", "--origin", "example.com/x"), "proof: the note is about"),
        (("proof", "--vkey", "vkey", "--entry", "mine"), "proof: it proves another entry than"),
        (("edited", "--vkey", "vkey"), "edited: the proof is false"),
        (("note", "--vkey", "vkey"), "note: it is not a proof"),
        (("empty", "--vkey", "vkey"), "empty: it is not a proof"),
        (("key", "--vkey", "vkey"), "key: it is not a proof"),
        (("grown", "--vkey", "vkey", "--since", "note"), "grown: the proof begins at 2 entries"),
        (("grown", "--vkey", "vkey", "--since", "proof"), "grown: the older checkpoint: "),
    ):
        refused = alone("verify-proof", *arguments)
        assert (refused.exit_code, refused.stdout) == (5, ""), refused.output
        assert said in refused.stderr
    for note in ("short", "empty", "proof"):
        refused = signed("verify", "--checkpoint", note, "--vkey", "vkey")
        assert refused.exit_code == 5
        assert refused.stderr.startswith(f"cursor-ledger: {note}: ")
        refused = signed("proof", 1, "--checkpoint", note)
        assert refused.exit_code == 5
        assert refused.stderr.startswith(f"cursor-ledger: {note}: ")


@pytest.mark.parametrize(
    "arguments",
    [
        ("verify-proof", "proof"),
        ("verify-proof", "proof", "--vkey", "nonsense"),
        ("verify-proof", "proof", "--vkey", "note"),
        ("verify-proof", "proof", "--vkey", "."),
        ("verify-proof", "missing", "--vkey", "vkey"),
        ("verify-proof", ".", "--vkey", "vkey"),
        ("verify-proof", "proof", "--vkey", "vkey", "--since", "note"),
        ("verify-proof", "proof", "--vkey", "vkey", "--entry", "note"),
        ("verify-proof", "proof", "--vkey", "vkey", "--entry", "key"),
        ("verify-proof", "grown", "--vkey", "vkey"),
        ("verify-proof", "grown", "--vkey", "vkey", "--since", "old.note", "--entry", "entry"),
        ("verify", "--checkpoint", "note"),
        ("verify", "--vkey", "vkey"),
        ("verify", "--origin", NAME),
        ("checkpoint", "--sign", "missing"),
        ("checkpoint", "--sign", "vkey"),
        ("checkpoint", "--sign", "key", "--json"),
        ("checkpoint", "--sign", "key", "--origin", NAME),
        ("proof",),
        ("proof", "1"),
        ("proof", "1", "--checkpoint", "note", "--sign", "key"),
        ("proof", "1", "--consistency", "old.note", "--checkpoint", "note"),
        ("proof", "0", "--checkpoint", "note"),
        ("proof", "999", "--checkpoint", "note"),
        ("proof", "3", "--checkpoint", "old.note"),
        ("proof", "--consistency", "note", "--checkpoint", "old.note"),
        ("key", "new", "key", "--origin", NAME),
        ("key", "new", "new", "--origin", "a b"),
        ("key", "show", "note"),
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_2_and_changes_no_file(
    audit: tuple[Path, str], run: Run, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    folder, target = audit
    monkeypatch.chdir(folder)
    monkeypatch.setenv("CURSOR_LEDGER_DB", target)
    if arguments[:2] == ("proof", "3"):
        position = records(run("entries"))[-1]["position"]
        arguments = ("proof", str(position), *arguments[2:])
    (folder / "vkey").chmod(0o600)
    (folder / "note").chmod(0o600)
    names = ("key", "key.signed", "vkey", "note")
    before = {name: (folder / name).read_bytes() for name in names}
    there = {each.name for each in folder.iterdir()}
    refused = run(*arguments)
    assert (refused.exit_code, refused.stdout) == (2, ""), refused.output
    assert "bug" not in refused.stderr
    assert {name: (folder / name).read_bytes() for name in names} == before
    assert {each.name for each in folder.iterdir()} == there


def test_a_ledger_that_lost_entries_is_not_signed_and_its_note_is_not_kept(
    signed: Run, folder: Path, tmp_path: Path
) -> None:
    del signed
    other = str(tmp_path / "other.db")
    CliRunner().invoke(main, ["--db", other, "advance", *OWNER, "--to", "41"])
    refused = CliRunner().invoke(main, ["--db", other, "checkpoint", "--sign", "key"])
    assert (refused.exit_code, refused.stdout) == (3, "")
    assert "the ledger has 1 settled entry, but key has signed 3" in refused.stderr
    found = CliRunner().invoke(
        main, ["--db", other, "verify", "--checkpoint", "note", "--vkey", "vkey", "--table"]
    )
    assert found.exit_code == 5
    assert "the checkpoint over 3 entries" in found.stdout
    assert "note: cut off, 3 entries" in found.stdout
    assert (folder / "key.signed").read_text() == (folder / "note").read_text()


def test_a_ledger_is_named_by_its_id_where_no_other_name_is_given(
    folder: Path, run: Run, kind: str
) -> None:
    run("advance", *OWNER, "--to", 41)
    (folder / "there").write_text("")
    assert run("key", "new", "there").exit_code == 2
    # What was refused has given it no id.
    assert (records(run("checkpoint"))[0]["origin"] is None) is (kind == "sqlite")
    made = run("key", "new", "key")
    assert made.stdout.startswith("cursor-ledger/")
    origin = records(run("checkpoint"))[0]["origin"]
    assert run("checkpoint", "--sign", "key").stdout.startswith(f"{origin}\n1\n")
    assert made.stdout.startswith(f"{origin}+")
    assert run("key", "new", "other").stdout.startswith(f"{origin}+")
    assert run("verify").exit_code == 0


@pytest.mark.makes_ledgers
def test_a_key_for_no_ledger_needs_a_name(folder: Path, run: Run) -> None:
    refused = run("key", "new", "key")
    assert refused.exit_code == 2
    assert "--origin" in refused.stderr
    assert not (folder / "key").exists()


def test_a_checkpoint_of_before_and_one_with_more_in_it_are_read(folder: Path, run: Run) -> None:
    run("advance", *OWNER, "--to", 41)
    kept = records(run("checkpoint", "--origin", NAME))[0]
    assert kept["origin"] == NAME
    (folder / "now").write_text(json.dumps(kept))
    old = {name: kept[name] for name in ("entries", "position", "root", "first")}
    (folder / "before").write_text(json.dumps(old))
    found = run("verify", "--against", "now", "--against", "before", "--json")
    assert found.exit_code == 0, found.output
    against = [each["checkpoint"] for each in json.loads(found.stdout)["against"]]
    assert against == [kept, {**old, "taken_at": None, "origin": None}]
    for name, wrong in (("taken_at", "noon"), ("taken_at", 7), ("origin", 7)):
        (folder / "wrong").write_text(json.dumps({**kept, name: wrong}))
        refused = run("verify", "--against", "wrong")
        assert refused.exit_code == 2
        assert "is not a checkpoint" in refused.stderr


def test_a_signed_checkpoint_in_the_place_of_json_is_sent_to_its_option(
    signed: Run, folder: Path
) -> None:
    (folder / "note").write_text(signed("checkpoint", "--sign", "key").stdout)
    refused = signed("verify", "--against", "note")
    assert refused.exit_code == 2
    assert "A signed one is for --checkpoint note --vkey VKEY." in " ".join(refused.stderr.split())


def test_a_witness_watches_a_ledger_that_it_has_not(signed: Run, folder: Path) -> None:
    vkey = ("--vkey", "vkey")
    made = alone("key", "new", "witness", "--witness", "example.net/ines")
    assert made.exit_code == 0, made.output
    assert "cosigns as example.net/ines" in made.stderr
    assert alone("key", "show", "witness").stdout == made.stdout
    (folder / "wkey").write_text(made.stdout)
    for given, entries, cosigned in (("old.note", 2, "old.cosigned"), ("grown", 3, "cosigned")):
        said = alone("cosign", given, "--key", "witness", *vkey)
        assert said.exit_code == 0, said.output
        assert said.stderr == f"cosigned: {entries} entries of {NAME}\n"
        (folder / cosigned).write_text(said.stdout)
    # Others require it.
    witness = ("--witness", "wkey")
    found = signed("verify", "--checkpoint", "cosigned", *vkey, *witness)
    assert found.exit_code == 0, found.output
    assert "cosigned by example.net/ines at 20" in found.stderr
    position = records(signed("entries"))[0]["position"]
    proof = signed("proof", position, "--checkpoint", "cosigned")
    (folder / "proof").write_text(proof.stdout)
    grown = signed("proof", "--consistency", "old.note", "--checkpoint", "cosigned")
    (folder / "grown").write_text(grown.stdout)
    for arguments in (("proof",), ("grown", "--since", "old.note")):
        said = alone("verify-proof", *arguments, *vkey, *witness)
        assert said.exit_code == 0, said.output
        assert "proved: " in said.stderr + said.stdout
        assert "cosigned by example.net/ines at 20" in said.stderr


def test_what_a_witness_was_not_shown_does_not_pass(signed: Run, folder: Path) -> None:
    vkey = ("--vkey", "vkey")
    (folder / "wkey").write_text(
        alone("key", "new", "witness", "--witness", "example.net/ines").stdout
    )
    (folder / "wkey2").write_text(
        alone("key", "new", "witness2", "--witness", "example.net/omar").stdout
    )
    cosigned = alone("cosign", "note", "--key", "witness", *vkey).stdout
    (folder / "cosigned").write_text(cosigned)
    both = ("--witness", "wkey", "--witness", "wkey2")
    for arguments, missing in (
        (("--checkpoint", "note", *both), "example.net/ines, example.net/omar"),
        (("--checkpoint", "cosigned", *both), "missing: example.net/omar"),
        (("--checkpoint", "note", *both, "--quorum", "1"), "example.net/ines, example.net/omar"),
    ):
        refused = signed("verify", *arguments, *vkey)
        assert refused.exit_code == 5, refused.output
        assert missing in " ".join(refused.stderr.split())
    passed = signed("verify", "--checkpoint", "cosigned", *vkey, *both, "--quorum", "1")
    assert passed.exit_code == 0, passed.output
    refused = alone("verify-proof", "proof", *vkey, *both)
    assert (refused.exit_code, refused.stdout) == (5, "")
    assert "proved:" not in refused.stderr
    # Of an older one, and of what was not proved, nothing is cosigned.
    for given, code in (("old.note", 5), ("grown", 5)):
        refused = alone("cosign", given, "--key", "witness", *vkey)
        assert (refused.exit_code, refused.stdout) == (code, ""), refused.output


def test_a_witness_counts_once_whatever_keys_it_has(signed: Run, folder: Path) -> None:
    vkey = ("--vkey", "vkey")
    for number in (1, 2):
        made = alone("key", "new", f"w{number}", "--witness", "example.net/ines")
        (folder / f"wkey{number}").write_text(made.stdout)
    (folder / "once").write_text(alone("cosign", "note", "--key", "w1", *vkey).stdout)
    (folder / "twice").write_text(alone("cosign", "once", "--key", "w2", *vkey).stdout)
    keys = ("--witness", "wkey1", "--witness", "wkey2", "--witness", "wkey1")
    for note in ("once", "twice"):
        passed = signed("verify", "--checkpoint", note, *vkey, *keys)
        assert (passed.exit_code, passed.stderr.count("cosigned by")) == (0, 1), passed.output
        refused = signed("verify", "--checkpoint", note, *vkey, *keys, "--quorum", "2")
        assert refused.exit_code == 2
        assert "each of another name" in " ".join(refused.stderr.split())
    refused = signed("verify", "--checkpoint", "note", *vkey, *keys)
    assert refused.exit_code == 5
    assert "missing: example.net/ines." in " ".join(refused.stderr.split())


@pytest.mark.parametrize(
    "arguments",
    [
        ("cosign", "note", "--key", "key", "--vkey", "vkey"),
        ("cosign", "note", "--key", "witness"),
        ("cosign", "note", "--vkey", "vkey"),
        ("cosign", "note", "--key", "missing", "--vkey", "vkey"),
        ("key", "new", "other", "--witness", "example.net/ines", "--origin", NAME),
        ("key", "new", "other", "--witness", "two words"),
        ("verify-proof", "proof", "--vkey", "vkey", "--witness", "vkey"),
        ("verify-proof", "proof", "--vkey", "wkey"),
        ("verify-proof", "proof", "--vkey", "vkey", "--quorum", "1"),
        ("verify-proof", "proof", "--vkey", "vkey", "--witness", "wkey", "--quorum", "2"),
    ],
)
@pytest.mark.usefixtures("signed")
def test_a_key_of_the_wrong_kind_is_told(folder: Path, arguments: tuple[str, ...]) -> None:
    made = alone("key", "new", "witness", "--witness", "example.net/ines")
    (folder / "wkey").write_text(made.stdout)
    refused = alone(*arguments)
    assert refused.exit_code in {1, 2}, refused.output
    assert refused.stdout == ""
    assert len(refused.stderr) > 20
    assert not (folder / "other").exists()
