"""The signatures of listed resets: the options that say which keys count, and how it is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import TYPE_CHECKING, Any

import attrs
import click

from ledger import Ledger
from ledger.cli.process.exits import EXIT_NOT_VERIFIED
from ledger.cli.shown.layout import Kind
from ledger.cli.shown.sentences import say
from ledger.cli.shown.tables import Column, colour
from ledger.log.text import visible
from projections.resets.views import RecordedReset

if TYPE_CHECKING:
    from ledger import AllowedSigners
    from projections.resets.signed import ResetSignature

__all__ = ["FIELDS", "Auditor", "approval_of", "auditor_options", "proof_of"]

FIELDS = (
    *("proof", "signer", "signing_key", "signature_fault", "signed_cursors"),
    *("approval", "approved_by", "approver", "approving_key", "approval_fault"),
)
"""What JSON and CSV have of a signature."""

# What is verified is imported only where somebody asks for it.
ASSERTED, SIGNED, UNKNOWN, BAD, APPROVED, UNAPPROVED = STATES = (
    *("asserted", "signed", "unknown", "bad"),
    *("approved", "unapproved"),
)
"""What can be known of a reset: a `SignatureState`, and whether it is approved as well."""

_FILE = click.Path(exists=True, dir_okay=False)


@attrs.frozen(kw_only=True)
class Auditor:
    """The keys that count, and what was found of each reset so far."""

    allowed_signers: str | None = None
    principals: tuple[str, ...] = ()
    revoked: str | None = None
    signed_for: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    _found: dict[int, ResetSignature] = attrs.field(factory=dict, init=False)
    _signers: list[AllowedSigners] = attrs.field(factory=list, init=False)

    @property
    def looks(self) -> bool:
        """Whether signatures are to be looked at."""
        return self.allowed_signers is not None

    def check(self) -> None:
        """Refuse options that mean nothing without a file. Raises UsageError."""
        if not self.looks and (self.principals or self.revoked or self.signed_for or self.states):
            raise click.UsageError(
                "Whose signatures count? Add --allowed-signers FILE, such as git has: man "
                "ssh-keygen, ALLOWED SIGNERS."
            )

    def looked_at(self, book: Ledger, resets: Iterable[RecordedReset]) -> Iterator[RecordedReset]:
        """Yield those of `resets` that are in one of the states that were asked for."""
        signers = self.signers
        if signers is None:
            yield from resets
            return
        from projections.resets.signed import reset_signature

        for reset in resets:
            found = reset_signature(book, reset, signers, ledgers=self.signed_for)
            self._found[reset.position] = found
            states = {found.by.state.value, APPROVED if found.is_approved else UNAPPROVED}
            if found.is_bad:
                states.add(BAD)
            if not self.states or states.intersection(self.states):
                yield reset

    def of(self, reset: RecordedReset) -> ResetSignature:
        """Return what was found of a reset."""
        return self._found[reset.position]

    def plain(self, reset: RecordedReset) -> dict[str, Any]:
        """Return what was found of a reset as plain JSON values."""
        found = self.of(reset)
        by, approval = found.by, found.approval
        second = (
            (None, found.approved_by, "", "", "")
            if approval is None
            else (
                *(approval.state.value, found.approved_by),
                *(approval.signer, approval.key, approval.why),
            )
        )
        values = (by.state.value, by.signer, by.key, by.why, found.cursors, *second)
        return dict(zip(FIELDS, values, strict=True))

    @property
    def columns(self) -> list[Column]:
        """What a table has of it."""
        return [
            _told("proof", proof_of, _signer_of, self.of),
            _told("approval", approval_of, _approver_of, self.of),
        ]

    def tell(self, context: click.Context) -> None:
        """Print that a signature is bad, and exit with the code for that."""
        if bad := [position for position, found in self._found.items() if found.is_bad]:
            count = "1 reset has" if len(bad) == 1 else f"{len(bad):,} resets have"
            say(
                f"BAD SIGNATURE: {count} a signature that does not hold, at position "
                f"{', '.join(map(str, bad[:10]))}{', …' if len(bad) > 10 else ''}.",
                err=True,
            )
            context.exit(EXIT_NOT_VERIFIED)

    @property
    def signers(self) -> AllowedSigners | None:
        """The signers whose signatures count, who are remembered; None if nobody is to look."""
        if self.allowed_signers is None:
            return None
        from ledger import AllowedSigners

        if not self._signers:
            self._signers.append(
                AllowedSigners(
                    self.allowed_signers, principals=self.principals, revoked=self.revoked
                )
            )
        return self._signers[0]


def auditor_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options about signatures, which a command is given as `auditor`."""

    @wraps(command)
    def with_auditor(*positional: Any, **given: Any) -> Any:
        own = {name: given.pop(name) for name in _OPTIONS}
        auditor = Auditor(**own)
        auditor.check()
        return command(*positional, auditor=auditor, **given)

    for option in (
        click.option(
            "--proof",
            "states",
            type=click.Choice(STATES),
            multiple=True,
            help="Only resets of which this is known: a name was asserted, they are signed, "
            "approved as well or not, signed by a key that is unknown, or badly. Repeatable.",
        ),
        click.option(
            "--signed-for",
            multiple=True,
            metavar="ID",
            help="Signatures for the ledger of this id count, too: this one is a copy of it. "
            "Repeatable.",
        ),
        click.option(
            "--revoked",
            type=_FILE,
            metavar="FILE",
            help="Keys that count no longer: public keys, or what ssh-keygen -k makes.",
        ),
        click.option(
            "--principal",
            "principals",
            multiple=True,
            metavar="NAME",
            help="Only the signatures of this principal of the file count. Repeatable.",
        ),
        click.option(
            "--allowed-signers",
            type=_FILE,
            metavar="FILE",
            help="Verify signatures with ssh-keygen: the keys that count, as git has them.",
        ),
    ):
        with_auditor = option(with_auditor)
    return with_auditor


def _told(
    heading: str,
    words: Callable[[ResetSignature], str],
    name: Callable[[ResetSignature], str],
    of: Callable[[RecordedReset], ResetSignature],
) -> Column:
    """Return a column that has a name alone where the actor and the reason need the room."""
    terse = Column(heading, lambda reset: name(of(reset)), kind=Kind.NAME)
    return Column(heading, lambda reset: words(of(reset)), kind=Kind.WORDS, terse=terse)


_OPTIONS = ("allowed_signers", "principals", "revoked", "signed_for", "states")


def proof_of(found: ResetSignature) -> str:
    """Return who has signed, in words."""
    by = found.by
    return {
        ASSERTED: ASSERTED,
        SIGNED: f"signed by {visible(by.signer)}",
        UNKNOWN: f"signed, key unknown: {visible(by.why)}, {by.key}",
        BAD: colour(f"bad signature: {visible(by.why)}", "red"),
    }[by.state.value]


def _signer_of(found: ResetSignature) -> str:
    """Return who has signed, by the name alone."""
    by = found.by
    return {
        ASSERTED: ASSERTED,
        SIGNED: visible(by.signer),
        UNKNOWN: "key unknown",
        BAD: colour("BAD", "red"),
    }[by.state.value]


def approval_of(found: ResetSignature) -> str:
    """Return who has approved it, in words."""
    approval = found.approval
    if approval is None:
        return ""
    name = visible(found.approved_by)
    return {
        SIGNED: f"approved by {visible(approval.signer)}",
        UNKNOWN: f"approval by {name}, key unknown: {visible(approval.why)}",
        BAD: colour(f"bad approval by {name}: {visible(approval.why)}", "red"),
    }[approval.state.value]


def _approver_of(found: ResetSignature) -> str:
    """Return who has approved it, by the name alone."""
    approval = found.approval
    if approval is None:
        return ""
    return {
        SIGNED: visible(approval.signer),
        UNKNOWN: "key unknown",
        BAD: colour("BAD", "red"),
    }[approval.state.value]
