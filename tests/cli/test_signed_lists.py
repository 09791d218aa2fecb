"""resets shows who asserted, signed and approved a reset apart, filters on it, and is loud."""

from __future__ import annotations

import csv
from pathlib import Path

import attrs
import pytest

import ledger
from projections import ResetPlan
from support.commands import Run, lines, records, table
from support.cursors import JOBS, ORDERS
from support.ssh_keys import OTHER, THREE, Keys, forge, needs_ssh, planned

STORES = "every"
pytestmark = needs_ssh

ASSERTED, SIGNED, APPROVED, UNKNOWN = 4, 5, 6, 7
BAD = 8


@pytest.fixture
def signed(run: Run, target: str, keys: Keys) -> Run:
    """Return a ledger with a reset in each state; all but one hold."""
    with ledger.open(target, actor="tester") as book:
        for key in THREE:
            book.advance(key, to=44)
        book.reset(ORDERS, to=1, reason="lost")
        for names in (("ines",), ("ines", "omar"), ("eve",)):
            plan = keys.sign(names[0], planned(book, JOBS, to=2))
            for name in names[1:]:
                plan = keys.approve(name, plan)
            plan.apply(book)
    return run


@pytest.fixture
def forged(signed: Run, target: str, keys: Keys) -> Run:
    with ledger.open(target, actor="tester") as book:
        plan = keys.sign("ines", planned(book, OTHER))
        forge(book, plan, reason="another one")
    return signed


@pytest.fixture
def trusting(keys: Keys) -> tuple[str, str]:
    return ("--allowed-signers", keys.trusting("ines", "omar").path)


def test_each_is_shown_apart(signed: Run, trusting: tuple[str, str]) -> None:
    found = lines(signed, "resets", *trusting)
    assert [(each["position"], each["proof"], each["approval"]) for each in found] == [
        (ASSERTED, "asserted", None),
        (SIGNED, "signed", None),
        (APPROVED, "signed", "signed"),
        (UNKNOWN, "unknown", None),
    ]
    assert found[2]["signer"] == "ines@example.com"
    assert (found[2]["approved_by"], found[2]["approver"]) == ("omar", "omar@example.com")
    assert found[2]["signing_key"] != found[2]["approving_key"]
    assert found[3]["signature_fault"] == "the key is not among the allowed signers"
    shown = table(signed, "resets", *trusting)
    for words in ("asserted", "signed by ines@example.com", "approved by omar@example.com"):
        assert words in shown
    assert "signed, key unknown: the key is not among the allowed signers, SHA256:" in shown


def test_without_a_file_nothing_is_different(signed: Run) -> None:
    [first, *_] = lines(signed, "resets")
    assert "proof" not in first
    assert list(first)[-2:] == ["effect", "result"]
    assert "proof" not in table(signed, "resets")


@pytest.mark.parametrize(
    ("options", "positions"),
    [
        (("asserted",), [ASSERTED]),
        (("signed",), [SIGNED, APPROVED]),
        (("approved",), [APPROVED]),
        (("unknown",), [UNKNOWN]),
        (("bad",), []),
        (("asserted", "unknown"), [ASSERTED, UNKNOWN]),
    ],
)
def test_they_are_chosen_by_it(
    signed: Run, trusting: tuple[str, str], options: tuple[str, ...], positions: list[int]
) -> None:
    words = [word for option in options for word in ("--proof", option)]
    found = lines(signed, "resets", *trusting, *words)
    assert [each["position"] for each in found] == positions
    newest = lines(signed, "resets", *trusting, *words, "--newest-first", "-n", 1)
    assert [each["position"] for each in newest] == positions[-1:]


def test_a_bad_signature_is_loud(forged: Run, trusting: tuple[str, str]) -> None:
    shown = forged("resets", *trusting, "--table")
    assert shown.exit_code == 5
    assert "bad signature: it is not of this text" in shown.stdout
    assert (
        "BAD SIGNATURE: 1 reset has a signature that does not hold, at position 8." in shown.stderr
    )
    only = forged("resets", *trusting, "--proof", "bad")
    assert only.exit_code == 5
    assert [each["position"] for each in records(only)] == [BAD]
    assert records(forged("resets"))[-1]["position"] == BAD


def test_only_a_principal_counts_and_none_that_is_revoked(
    signed: Run, trusting: tuple[str, str], keys: Keys
) -> None:
    omar = lines(signed, "resets", *trusting, "--principal", "omar@example.com")
    assert [each["proof"] for each in omar] == ["asserted", "unknown", "unknown", "unknown"]
    revoked = signed("resets", *trusting, "--revoked", keys.folder / "ines.pub")
    assert revoked.exit_code == 5
    found = records(revoked)
    assert [each["proof"] for each in found] == ["asserted", "bad", "bad", "unknown"]
    assert found[1]["signature_fault"] == "the key is revoked"


def test_csv_has_its_columns_also_where_there_are_none(
    signed: Run, trusting: tuple[str, str]
) -> None:
    whole = signed("resets", *trusting, "--csv").stdout.splitlines()
    rows = list(csv.DictReader(whole))
    assert [row["proof"] for row in rows] == ["asserted", "signed", "signed", "unknown"]
    none = signed("resets", *trusting, "--csv", "--proof", "bad").stdout.splitlines()
    assert none == whole[:1]
    assert "proof" not in signed("resets", "--csv").stdout.splitlines()[0].split(",")


def test_a_copy_says_for_which_ledger_it_was_signed(
    run: Run, target: str, keys: Keys, trusting: tuple[str, str]
) -> None:
    with ledger.open(target, actor="tester") as book:
        book.advance(ORDERS, to=44)
        plan = planned(book, ORDERS)
        assert plan.ledger is not None
        other = attrs.evolve(plan, ledger=attrs.evolve(plan.ledger, id="the-other"))
        forge(book, keys.sign("ines", ResetPlan.of_lines(other.lines())))
    refused = run("resets", *trusting, "--table")
    assert refused.exit_code == 5
    assert "it was signed for the ledger the-other, and this is another one" in refused.stdout
    assert run("resets", *trusting, "--signed-for", "the-other").exit_code == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--proof", "signed"), "Add --allowed-signers FILE"),
        (("--principal", "ines@example.com"), "Add --allowed-signers FILE"),
        (("--signed-for", "x"), "Add --allowed-signers FILE"),
        (("--allowed-signers", "nowhere"), "does not exist"),
        (("--allowed-signers", "HERE", "--groups"), "--groups has no signatures"),
        (("--allowed-signers", "HERE", "--proof", "good"), "is not one of"),
    ],
)
def test_options_that_mean_nothing_are_refused(
    run: Run, path: Path, options: tuple[str, ...], said: str
) -> None:
    there = path.with_name("allowed")
    there.write_text("")
    refused = run("resets", *(str(there) if each == "HERE" else each for each in options))
    assert refused.exit_code == 2
    assert said in refused.stderr
