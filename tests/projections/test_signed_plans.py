"""Signed plans and their ledgers, keys and limits; and those that somebody else has approved."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import attrs
import pytest

import ledger
from ledger import (
    AllowedSigners,
    InvalidCursorError,
    Ledger,
    LedgerError,
    Policy,
    PolicyKind,
    PolicyUnmetError,
    SignatureState,
    SshSignature,
    UnprovenError,
)
from projections import ResetPlan, Signatures
from projections.resets.identity import LedgerMark
from support.clock import Clock
from support.cursors import JOBS, ORDERS
from support.ssh_keys import Keys, forge, judged, needs_ssh, planned, states
from support.targets import new_target

STORES = "every"
pytestmark = needs_ssh

SIGNED, UNKNOWN, BAD = SignatureState.SIGNED, SignatureState.UNKNOWN, SignatureState.BAD


# --- ledgers ---


def test_a_signature_names_its_ledger_and_how_that_begins(
    three: Ledger, keys: Keys, signers: AllowedSigners
) -> None:
    plan = planned(three, ORDERS)
    assert plan.ledger is not None
    for mark in (
        attrs.evolve(plan.ledger, id="another"),
        attrs.evolve(plan.ledger, digest=b"\1" * 32),
        LedgerMark(id="another", position=None, digest=None),
    ):
        other = ResetPlan.of_lines(attrs.evolve(planned(three, ORDERS), ledger=mark).lines())
        forge(three, keys.sign("ines", other))
    by_id, by_entry, by_both = judged(three, signers)
    assert "it was signed for the ledger another, and this is another one" in by_id.by.why
    assert "begins with another entry" in by_entry.by.why
    assert by_both.is_bad
    allowed = judged(three, signers, ledgers=("another",))
    assert [each.by.state for each in allowed] == [SIGNED, BAD, SIGNED]


def test_a_copy_has_the_signatures_of_what_it_was_copied_from(
    three: Ledger, keys: Keys, signers: AllowedSigners, kind: str, path: Path
) -> None:
    keys.sign("ines", planned(three, ORDERS)).apply(three, actor="ines")
    with (
        new_target(kind, path.with_name("copy.db")) as target,
        ledger.open(target, actor="tester") as copy,
    ):
        three.copy_to(copy)
        # A file has no id. Elsewhere it has to be said that one is a copy of the other.
        assert states(copy, signers) == [SIGNED if kind == "sqlite" else BAD]
        assert [each.by.state for each in judged(copy, signers, ledgers=(three.identity(),))] == [
            SIGNED
        ]


# --- keys ---


def test_another_key_and_one_that_was_not_valid_then_are_unknown(
    three: Ledger, keys: Keys, clock: Clock
) -> None:
    keys.sign("ines", planned(three, ORDERS)).apply(three, actor="ines")
    assert states(three, keys.trusting("omar")) == [UNKNOWN]
    before = clock.now - timedelta(days=1)
    lines = keys.line("ines", f'valid-before="{before:%Y%m%d%H%M%S}Z"')
    assert states(three, AllowedSigners(keys.allowed(lines))) == [UNKNOWN]
    # The key was retired an hour later, which takes nothing away.
    end = clock.now + timedelta(hours=1)
    lines = keys.line("ines", f'valid-after="{before:%Y%m%d}Z",valid-before="{end:%Y%m%d%H%M%S}Z"')
    assert states(three, AllowedSigners(keys.allowed(lines))) == [SIGNED]


def test_a_signature_in_another_plan_is_refused_before_it_is_recorded(
    three: Ledger, keys: Keys
) -> None:
    one, other = planned(three, ORDERS), planned(three, JOBS)
    signature = SshSignature.by(keys.folder / "ines", one.text.to_sign())
    with pytest.raises(UnprovenError, match="does not hold"):
        other.signed(signature)
    assert one.signed(signature).signatures == Signatures(planner=signature)
    assert [entry.version for entry in three.entries()] == [1, 1, 1]


def test_a_signed_plan_is_applied_as_it_is_or_not_at_all(three: Ledger, keys: Keys) -> None:
    plan = keys.sign("ines", planned(three, ORDERS))
    for options in ({"metadata": {"more": "x"}}, {"if_unchanged": False}):
        with pytest.raises(InvalidCursorError, match="the plan is signed as it is"):
            plan.apply(three, actor="ines", **options)
    assert plan.adding({"more": "x"}).signatures is None
    assert attrs.evolve(plan, planned_by="omar").signatures is None
    with pytest.raises(InvalidCursorError, match="cannot be signed"):
        keys.sign("ines", ResetPlan(plan.resets))


def test_a_plan_that_has_expired_is_refused_and_bad(
    three: Ledger, keys: Keys, signers: AllowedSigners, clock: Clock, tmp_path: Path
) -> None:
    plan = attrs.evolve(planned(three, ORDERS), expires_at=clock.now + timedelta(hours=1))
    plan.save(tmp_path / "plan.jsonl")
    assert "cursor-ledger-plan/3" in (tmp_path / "plan.jsonl").read_text()
    plan = keys.sign("ines", ResetPlan.load(tmp_path / "plan.jsonl"))
    clock.tick(3_601)
    with pytest.raises(LedgerError, match="the plan has expired at 2026-05-05T17:00:03Z"):
        plan.apply(three, actor="ines")
    forge(three, plan)
    [found] = judged(three, signers)
    assert found.is_bad
    assert "the plan had expired at 2026-05-05T17:00:03Z" in found.by.why


def test_a_plan_that_has_not_expired_is_applied(
    three: Ledger, keys: Keys, signers: AllowedSigners, clock: Clock
) -> None:
    plan = attrs.evolve(planned(three, ORDERS), expires_at=clock.now + timedelta(hours=1))
    clock.tick(3_600)
    keys.sign("ines", plan).apply(three, actor="ines")
    assert states(three, signers) == [SIGNED]


def test_signatures_that_have_no_room_are_refused_when_they_are_made(
    three: Ledger, keys: Keys
) -> None:
    many = {f"n{number}": "x" for number in range(11)}
    plan = ResetPlan.make(three, [ORDERS], to=1, reason="x", metadata=many, planned_by="ines")
    signed = keys.sign("ines", plan)
    assert len(signed.apply(three, actor="ines")) == 1
    [reset] = plan.resets
    more = attrs.evolve(reset, metadata={**many, "m": "x"})
    with pytest.raises(InvalidCursorError, match=r"signature.*more than 16 pairs"):
        keys.sign("ines", attrs.evolve(plan, resets=(more,)))


# --- approval ---


def test_two_sign_and_are_shown_apart(three: Ledger, keys: Keys, signers: AllowedSigners) -> None:
    plan = keys.approve("omar", keys.sign("ines", planned(three, ORDERS, JOBS)))
    plan.apply(three, actor="eve")
    for found in judged(three, signers):
        assert found.approval is not None
        assert found.by.signer == "ines@example.com"
        assert (found.approved_by, found.approval.signer) == ("omar", "omar@example.com")
        assert found.approval.key != found.by.key
        assert found.is_approved


@pytest.mark.parametrize("algorithm", ["ed25519", "rsa", "ecdsa"])
def test_a_certificate_of_the_planners_key_is_no_other_key(
    three: Ledger, keys: Keys, tmp_path: Path, algorithm: str
) -> None:
    key = tmp_path / "key"
    for command in (
        ("-t", algorithm, "-N", "", "-f", key),
        ("-s", keys.folder / "ines", "-I", "x", "-n", "omar", f"{key}.pub"),
    ):
        subprocess.run(["ssh-keygen", "-q", *command], check=True)
    book, certificate = three, tmp_path / "key-cert.pub"
    plan = planned(book, ORDERS)
    signed = plan.signed(SshSignature.by(key, plan.text.to_sign()))
    by_certificate = SshSignature.by(certificate, signed.text.to_approve("omar"))
    assert signed.signatures is not None
    assert by_certificate.fingerprint != signed.signatures.planner.fingerprint
    with pytest.raises(UnprovenError, match="has signed the plan itself"):
        signed.approved(by_certificate, approved_by="omar")
    # Nor does a policy take them for two, whatever program has put them together.
    book.policies.set(Policy(PolicyKind.APPROVAL), reason="two pairs of eyes")
    both = attrs.evolve(signed.signatures, approved_by="omar", approval=by_certificate)
    with pytest.raises(PolicyUnmetError):
        forge(book, signed._having(both))
    other = SshSignature.by(keys.folder / "omar", signed.text.to_approve("omar"))
    forge(book, signed._having(attrs.evolve(both, approval=other)))
    assert book.get(ORDERS).epoch == 1


def test_an_approval_by_the_planner_is_refused(three: Ledger, keys: Keys) -> None:
    signed = keys.sign("ines", planned(three, ORDERS))
    with pytest.raises(UnprovenError, match="has signed the plan itself"):
        keys.approve("ines", signed)
    with pytest.raises(InvalidCursorError, match="the plan is not signed"):
        keys.approve("omar", planned(three, ORDERS))
    assert signed.signatures is not None
    with pytest.raises(UnprovenError, match="does not hold"):
        signed.approved(signed.signatures.planner, approved_by="omar")
    for other in ("eve", "omar "):
        approval = SshSignature.by(keys.folder / "omar", signed.text.to_approve("omar"))
        if other.strip() == "omar":
            assert signed.approved(approval, approved_by=other).signatures is not None
        else:
            with pytest.raises(UnprovenError, match="does not hold"):
                signed.approved(approval, approved_by=other)


FORGERIES: list[Callable[[Signatures, SshSignature], Signatures]] = [
    lambda both, _: attrs.evolve(both, approved_by="eve"),
    lambda both, by_ines: attrs.evolve(both, approval=by_ines),
    lambda both, _: attrs.evolve(both, approval=both.planner),
    lambda both, _: attrs.evolve(both, planner=both.approval or both.planner),
    lambda both, _: Signatures(
        planner=both.approval or both.planner, approved_by="omar", approval=both.planner
    ),
]


@pytest.mark.parametrize("change", FORGERIES)
def test_an_approval_that_was_forged_is_bad(
    three: Ledger,
    keys: Keys,
    signers: AllowedSigners,
    change: Callable[[Signatures, SshSignature], Signatures],
) -> None:
    approved = keys.approve("omar", keys.sign("ines", planned(three, ORDERS)))
    assert approved.signatures is not None
    by_ines = SshSignature.by(keys.folder / "ines", approved.text.to_approve("omar"))
    forge(three, approved._having(change(approved.signatures, by_ines)))
    [found] = judged(three, signers)
    assert found.is_bad
    assert not found.is_approved


@pytest.mark.parametrize(
    "who", ["the same key", "a key that is unknown", "the same person", "somebody unknown"]
)
def test_an_approver_has_another_key_and_is_somebody_else_who_is_known(
    three: Ledger, keys: Keys, who: str
) -> None:
    approver = "ines" if "key" in who else "eve"
    signed = keys.sign("ines", planned(three, ORDERS))
    approval = SshSignature.by(keys.folder / approver, signed.text.to_approve("eve"))
    assert signed.signatures is not None
    both = attrs.evolve(signed.signatures, approved_by="eve", approval=approval)
    forge(three, signed._having(both))
    lines = [keys.line("ines"), keys.line("ines", principal="eve@example.com")]
    if who == "the same person":
        lines.append(keys.line("eve", principal="ines@example.com"))
    if who == "a key that is unknown":
        lines = []
    [found] = judged(three, AllowedSigners(keys.allowed(*lines)))
    assert found.approval is not None
    assert found.by.state is (SIGNED if lines else UNKNOWN)
    assert found.approval.state is (UNKNOWN if who == "somebody unknown" else BAD)
    assert not found.is_approved
    if who != "somebody unknown":
        assert found.approval.why == "whoever planned it has approved it"


def test_an_approval_is_nothing_without_the_planner(three: Ledger, keys: Keys) -> None:
    keys.approve("omar", keys.sign("ines", planned(three, ORDERS))).apply(three, actor="ines")
    [found] = judged(three, keys.trusting("omar"))
    assert (found.by.state, found.is_approved, found.is_bad) == (UNKNOWN, False, False)
    assert found.approval is not None
    assert found.approval.state is SIGNED
