"""SSH keys that sign, made by the real ssh-keygen, and plans that somebody forges with them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from ledger import AllowedSigners, CursorKey, Ledger, ResetCursor, SignatureState, SshSignature
from ledger.law.pairs import SignedPairs
from projections import ResetPlan, ResetSignature, reset_signature, resets
from projections.resets import marks, signing
from support.cursors import JOBS, ORDERS

__all__ = ["OTHER", "THREE", "Keys", "forge", "judged", "needs_ssh", "planned", "states"]

OTHER = CursorKey("webhooks", "orders", "customer-8")
THREE = (ORDERS, JOBS, OTHER)

needs_ssh = pytest.mark.skipif(
    shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed"
)


@attrs.frozen
class Keys:
    """A folder of keys, each named after whose it is."""

    folder: Path

    def new(self, name: str, kind: str = "ed25519", *options: str) -> Path:
        """Make a key of NAME@example.com; return the file of its private half."""
        file = self.folder / name
        subprocess.run(
            ["ssh-keygen", "-q", "-t", kind, *options, "-N", "", "-C", name, "-f", file],
            check=True,
        )
        return file

    def line(self, name: str, options: str = "", principal: str = "") -> str:
        """Return the line of a key in a file of allowed signers."""
        public = (self.folder / f"{name}.pub").read_text()
        return f"{principal or f'{name}@example.com'} {options} {public}"

    def allowed(self, *lines: str) -> str:
        """Return the path of a new file of allowed signers."""
        file = self.folder / f"allowed-{len(list(self.folder.iterdir()))}"
        file.write_text("".join(lines))
        return str(file)

    def trusting(self, *names: str) -> AllowedSigners:
        return AllowedSigners(self.allowed(*map(self.line, names)))

    def sign(self, name: str, plan: ResetPlan) -> ResetPlan:
        """Return the plan, signed by the key of NAME."""
        return plan.signed(SshSignature.by(self.folder / name, plan.text.to_sign()))

    def approve(self, name: str, plan: ResetPlan) -> ResetPlan:
        """Return the signed plan, approved by NAME with their key."""
        text = plan.text.to_approve(name)
        return plan.approved(SshSignature.by(self.folder / name, text), approved_by=name)


def planned(book: Ledger, *keys: CursorKey, to: int = 1) -> ResetPlan:
    """Plan a reset as ines does, and return it as it is in a file."""
    plan = ResetPlan.make(
        book, keys, to=to, reason="lost", metadata={"ticket": "OPS-7"}, planned_by="ines"
    )
    return ResetPlan.of_lines(plan.lines())


def forge(
    book: Ledger,
    plan: ResetPlan,
    *,
    metadata: Callable[[dict[str, str]], Mapping[str, str]] = dict,
    **changes: Any,
) -> None:
    """Append what a plan says, and what somebody has changed of it, as if it had been applied."""
    own = marks.of_file(plan.digest, planned_by=plan.planned_by, planned_at=plan.planned_at)
    assert plan.signatures is not None
    signed = signing.metadata_of(plan, plan.signatures, own)
    for reset, pairs in zip(plan.resets, signed, strict=True):
        request = attrs.evolve(reset.request, actor="mallory", metadata=pairs)
        request = attrs.evolve(request, expected_version=None, **changes)
        forged = attrs.evolve(request, metadata=SignedPairs(metadata(dict(pairs))))
        assert isinstance(forged, ResetCursor)
        book.append([forged])


def judged(
    book: Ledger, signers: AllowedSigners, **options: tuple[str, ...]
) -> list[ResetSignature]:
    """Return what is known of each reset in the log."""
    return [reset_signature(book, reset, signers, **options) for reset in resets(book)]


def states(book: Ledger, signers: AllowedSigners) -> list[SignatureState]:
    return [found.by.state for found in judged(book, signers)]
