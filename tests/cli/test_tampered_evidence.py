"""A table of what can be done to evidence: the command and the file that stands alone agree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from click.testing import CliRunner

from projections.cli import main
from support import tampered_bundles, unlawful_bundles
from support.bundles import Evidence, chained, complete, evidence, selected
from support.places import TOP
from support.tampered_bundles import Case, Deed
from support.tampering_tables import SECTION, table

# What they look at takes long to make: one process makes it.
pytestmark = pytest.mark.xdist_group("tampered evidence")

PARTS: dict[str, dict[str, Deed]] = {
    "honest": tampered_bundles.HONEST,
    "positions": tampered_bundles.POSITIONS,
    "omitted": tampered_bundles.OMITTED,
    "changed": tampered_bundles.CHANGED,
    "declared": tampered_bundles.DECLARED,
    "joined": tampered_bundles.JOINED,
    "strangers": tampered_bundles.STRANGERS,
    "written": tampered_bundles.WRITTEN,
    "unlawful": unlawful_bundles.UNLAWFUL,
    "odd": unlawful_bundles.ODD,
    "proofs": unlawful_bundles.PROOFS,
}
TABLE = {f"{part}: {name}": deed for part, deeds in PARTS.items() for name, deed in deeds.items()}
# What the document says of them: the case of a complete bundle, and that of a selected one.
SUMMARY: dict[str, tuple[str, str]] = {
    "an entry left out": (
        "omitted: an entry left out, and counted",
        "omitted: an entry left out of selected, and counted",
    ),
    "the last entries left out": (
        "omitted: the last entry left out",
        "omitted: the tail of selected cut, and counted",
    ),
    "the file cut short": ("omitted: the tail cut", "omitted: the tail of selected cut"),
    "an entry edited": ("changed: the last entry edited", "changed: a sequence edited"),
    "an entry inserted, or twice": (
        "changed: an entry inserted",
        "changed: an entry of selected doubled",
    ),
    "entries in another order": (
        "changed: entries of two cursors in another order, renumbered",
        "changed: selected entries in another order, renumbered",
    ),
    "a path forged": ("", "changed: a hash of a path forged"),
    "the first line edited": ("declared: a root edited", "declared: growth forged"),
    "declared to be of the other kind": (
        "declared: complete declared selected",
        "declared: selected declared complete, without paths",
    ),
    "two bundles joined": (
        "joined: the entries of two bundles",
        "joined: the entries of two selected bundles",
    ),
    "signed by another key": (
        "strangers: another key of the same name",
        "strangers: selected, by another key",
    ),
    "signed, but the law forbids it": (
        "unlawful: a move back without a reset",
        "unlawful: a move back, between selected entries",
    ),
    "all rewritten, and signed again": (
        "strangers: all rewritten, and signed again",
        "strangers: selected of a rewritten history",
    ),
    "the same, with a checkpoint that was kept": (
        "strangers: all rewritten, with a checkpoint that was kept",
        "strangers: selected of a rewritten history, with a checkpoint that was kept",
    ),
}
VERIFIER = TOP / "ledger" / "evidence" / "standalone.py"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    return evidence(tmp_path_factory.mktemp("operator"))


@pytest.fixture(scope="module")
def cases(made: Evidence) -> dict[str, Case]:
    return {name: deed(made) for name, deed in TABLE.items()}


@pytest.fixture(scope="module")
def files(
    tmp_path_factory: pytest.TempPathFactory, made: Evidence, cases: dict[str, Case]
) -> dict[str, list[str]]:
    """Return what a verifier is asked about each case, except the kind of the file."""
    folder = tmp_path_factory.mktemp("verifier")
    asked = {}
    for number, (name, case) in enumerate(cases.items()):
        file, since = folder / str(number), folder / f"{number}.note"
        file.write_bytes(case.data)
        asked[name] = [str(file), "--vkey", case.vkey or made.vkey.text]
        if case.origin:
            asked[name] += ["--origin", case.origin]
        if case.since:
            since.write_text(case.since, "utf-8")
            asked[name] += ["--checkpoint", str(since)]
    return asked


@pytest.fixture(scope="module")
def alone(
    files: dict[str, list[str]],
) -> dict[str, subprocess.CompletedProcess[str]]:
    """Return what the file that stands alone says of each case, with no path to the package."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not there, and the file that stands alone needs it")

    def run(name: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-I", VERIFIER, *files[name]],
            env={"PATH": os.environ["PATH"]},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    with ThreadPoolExecutor(4) as pool:
        return dict(zip(files, pool.map(run, files), strict=True))


@pytest.mark.parametrize("name", TABLE)
def test_the_command_refuses_what_is_caught(
    name: str, cases: dict[str, Case], files: dict[str, list[str]]
) -> None:
    file, *asked = files[name]
    command = "verify-evidence"
    if name.startswith("proofs: "):
        command = "verify-proof"
        asked = ["--since" if each == "--checkpoint" else each for each in asked]
    done = CliRunner().invoke(main, [command, file, *asked, "--table"])
    assert done.exit_code == (5 if cases[name].caught else 0), done.output
    if cases[name].caught:
        assert done.stdout == ""
        assert done.stderr.startswith(f"cursor-ledger: {file}: ")
        assert len(done.stderr) < 1_000
        if command == "verify-evidence":
            said = done.stderr.removeprefix(f"cursor-ledger: {file}: ")
            assert said.startswith(("line ", "the older checkpoint"))


@pytest.mark.slow("it runs the program that stands alone for each kind of tampering")
@pytest.mark.parametrize("name", TABLE)
def test_the_file_that_stands_alone_agrees(
    name: str, cases: dict[str, Case], alone: dict[str, subprocess.CompletedProcess[str]]
) -> None:
    done = alone[name]
    assert done.returncode == (5 if cases[name].caught else 0), done.stderr
    if cases[name].caught:
        assert done.stdout == ""
        assert done.stderr.startswith("not proved: ")
        assert len(done.stderr) < 1_000
    else:
        assert done.stdout.startswith("proved: ")
        assert done.stderr == ""


def test_what_is_made_by_hand_is_what_the_ledger_makes(made: Evidence) -> None:
    lines = chained(made.texts)
    assert complete(made.key, lines) == made.complete
    assert selected(made.key, lines, range(len(lines))) == made.every


def test_all_entries_declared_complete_are_the_complete_bundle_and_no_other_text(
    made: Evidence,
) -> None:
    first, *entries, last = made.every
    declared = tampered_bundles.kind([first], "complete")
    assert [*declared, *tampered_bundles.without_paths(entries), last] == made.complete


def test_the_document_has_a_table_of_them(cases: dict[str, Case]) -> None:
    rows = {
        deed: [cases[name].caught if name else None for name in names]
        for deed, names in SUMMARY.items()
    }
    assert table(("complete", "selected"), rows) in SECTION


def test_each_case_is_another_file_or_asks_something_else(cases: dict[str, Case]) -> None:
    seen: dict[Case, str] = {}
    for name, case in cases.items():
        assert case not in seen, (name, seen[case])
        seen[case] = name
