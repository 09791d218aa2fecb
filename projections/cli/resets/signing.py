"""The options that sign and approve a plan, or give it signatures that were made elsewhere."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from ledger import InvalidCursorError, files
from ledger.cli.parameters import files as known_files
from ledger.cli.shown.sentences import say
from ledger.cli.typed.times import DURATION
from ledger.log.text import visible
from projections.resets.plans import ResetPlan

if TYPE_CHECKING:
    from ledger import SshSignature

__all__ = ["OPTIONS", "Signing", "signing_options"]

OPTIONS = frozenset(("sign", "signature", "to_sign", "approve", "approval", "approved_by"))
"""The names of the options that go with a plan from a file."""

SIGNATURE_BYTES_MAX = 2**16

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@attrs.frozen(kw_only=True)
class Signing:
    """How the plan is to be signed."""

    sign: str | None = None
    signature: Path | None = None
    to_sign: Path | None = None
    approve: str | None = None
    approval: Path | None = None
    approved_by: str | None = None
    expires_in: timedelta | None = None

    def check(self, *, file: Path | None, execute: bool, metadata: bool) -> None:
        """Refuse options that contradict each other. `file` is that of the plan.

        Raises UsageError.
        """
        by_file = self.signature is not None or self.approval is not None
        if self.sign is not None and self.signature is not None:
            raise click.UsageError("--sign makes the signature, --signature has it: choose one.")
        if self.approve is not None and self.approval is not None:
            raise click.UsageError("--approve makes the approval, --approval has it: choose one.")
        approves = self.approve is not None or self.approval is not None
        if approves and not self.approved_by:
            raise click.UsageError("Who approves it? Add --approved-by NAME, which is signed too.")
        if approves and self.sign is None and self.signature is None:
            raise click.UsageError(
                "An approval is of a plan that its planner has signed: add --signature or --sign."
            )
        if self.approved_by and not (approves or self.to_sign):
            raise click.UsageError(
                "--approved-by goes with a signature of its own: add --approve KEY or --approval "
                "FILE, or --to-sign FILE to sign it elsewhere."
            )
        if by_file and metadata:
            raise click.UsageError("A plan that is signed takes no --meta: plan and sign it again.")
        wants_file = self.to_sign is not None or by_file
        signs = self.sign is not None or self.approve is not None
        if file is None and (wants_file or (signs and not execute)):
            raise click.UsageError(
                "What is signed is a plan that is kept: add --export FILE, or --from-file FILE "
                "for one that is there, or --execute with --sign."
            )

        if file is not None and self.to_sign is not None and files.is_same(file, self.to_sign):
            raise click.UsageError(
                "--to-sign and the plan name the same file. Choose another name for the text."
            )

    def with_expiry(self, plan: ResetPlan) -> ResetPlan:
        """Return a plan that was just made with its expiry."""
        if self.expires_in is None or plan.planned_at is None:
            return plan
        try:
            return attrs.evolve(plan, expires_at=plan.planned_at + self.expires_in)
        except OverflowError:
            raise click.UsageError("--expires-in is beyond the year 9999.") from None

    def given(self, plan: ResetPlan) -> ResetPlan:
        """Return the plan with the signatures that are in files. Raises UnprovenError."""
        if self.signature is not None:
            plan = plan.signed(_read(self.signature))
        if self.approval is not None and plan.signatures is not None:
            plan = plan.approved(_read(self.approval), approved_by=self.approved_by or "")
        return plan

    def made(self, plan: ResetPlan) -> ResetPlan:
        """Return the plan with the signatures that keys make now."""
        if self.sign is None and self.approve is None:
            return plan
        from ledger import SshSignature

        if self.sign is not None:
            plan = plan.signed(SshSignature.by(self.sign, plan.text.to_sign()))
        if self.approve is not None:
            name = self.approved_by or ""
            approval = SshSignature.by(self.approve, plan.text.to_approve(name))
            plan = plan.approved(approval, approved_by=name)
        if self.approval is not None and self.sign is not None:
            plan = plan.approved(_read(self.approval), approved_by=self.approved_by or "")
        return plan

    def write_text(self, plan: ResetPlan) -> None:
        """Write the text that somebody signs elsewhere, if that is wanted."""
        if self.to_sign is None:
            return
        text = plan.text
        by = self.approved_by
        files.write(self.to_sign, text.to_approve(by) if by else text.to_sign())
        say(f"the text to be signed is written to {visible(str(self.to_sign))}", err=True)
        sign = f"ssh-keygen -Y sign -n cursor-ledger -f KEY {shlex.quote(str(self.to_sign))}"
        if visible(sign) == sign:
            click.echo(f"To sign it, there or elsewhere:\n  {sign}", err=True)

    def keep(self, plan: ResetPlan, file: Path | None) -> None:
        """Sign with the keys, and write their signatures beside the file of the plan."""
        plan = self.made(plan)
        if plan.signatures is None or file is None:
            return
        if self.sign is not None:
            _keep(plan.signatures.planner, _beside(file, ".sig"))
        if self.approve is not None and plan.signatures.approval is not None:
            _keep(plan.signatures.approval, _beside(file, ".approval.sig"))

    def words(self, file: Path) -> tuple[str, ...]:
        """Return the options that apply the plan in `file` with its signatures."""
        words: list[str] = []
        for option, there, key, suffix in (
            ("--signature", self.signature, self.sign, ".sig"),
            ("--approval", self.approval, self.approve, ".approval.sig"),
        ):
            place = _beside(file, suffix) if key is not None else there
            if place is None and option == "--signature" and self.to_sign and not self.approved_by:
                place = _beside(self.to_sign, ".sig")
            if place is not None:
                # It keeps symbolic links.
                words += [option, os.path.abspath(place)]  # noqa: PTH100
        if "--approval" in words:
            words += ["--approved-by", self.approved_by or ""]
        return tuple(words)


def signing_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options about signatures, which a command is given as `signing`."""

    @wraps(command)
    def with_signing(*positional: Any, **given: Any) -> Any:
        own = {field.name: given.pop(field.name) for field in attrs.fields(Signing)}
        return command(*positional, signing=Signing(**own), **given)

    for option in (
        click.option(
            "--expires-in",
            type=DURATION,
            help="Until when the plan may be executed, from now: 90m, 36h, 7d.",
        ),
        click.option(
            "--approved-by",
            metavar="NAME",
            help="The name of the person who approves the plan, which is signed with it.",
        ),
        click.option(
            "--approval",
            type=_FILE,
            metavar="FILE",
            help="The approver's signature, from ssh-keygen -Y sign.",
        ),
        click.option(
            "--approve",
            metavar="KEY",
            shell_complete=known_files,
            help="Approve the plan: sign as --approved-by, with this SSH key.",
        ),
        click.option(
            "--to-sign",
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="FILE",
            help="Write the text to be signed, by ssh-keygen -Y sign -n cursor-ledger; with "
            "--approved-by, that of the approver.",
        ),
        click.option(
            "--signature",
            type=_FILE,
            metavar="FILE",
            help="The planner's signature, from ssh-keygen -Y sign.",
        ),
        click.option(
            "--sign",
            metavar="KEY",
            shell_complete=known_files,
            help="Sign the plan with this SSH key: its file, the file of a public key that is with "
            "the agent, or agent for the only one there.",
        ),
    ):
        with_signing = option(with_signing)
    return with_signing


def _read(file: Path) -> SshSignature:
    from ledger import SshSignature

    with file.open("rb") as opened:
        data = opened.read(SIGNATURE_BYTES_MAX + 1)
    if len(data) > SIGNATURE_BYTES_MAX:
        raise InvalidCursorError(f"{str(file)!r} is too long for a signature.")
    return SshSignature.parse(data)


def _beside(file: Path, suffix: str) -> Path:
    return file.with_name(file.name + suffix)


def _keep(signature: SshSignature, file: Path) -> None:
    files.write(file, signature.armored.encode())
    say(f"the signature is written to {visible(str(file))}", err=True)
