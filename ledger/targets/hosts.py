"""A program that has cursor-ledger as one of its commands."""

from __future__ import annotations

import attrs

from ledger.targets import shown

__all__ = ["Host"]


@attrs.frozen(kw_only=True)
class Host:
    """A program that has cursor-ledger as one of its commands, and says where the ledger is."""

    command: str
    """What a command that is printed begins with, to be pasted into a shell."""
    place: str = attrs.field(repr=shown)
    """The path or URL of the ledger."""
    option: str
    """The option that names another ledger, as the help shows it."""
    says: str
    """What the help says of it."""
    refusal: str
    """The sentence that refuses --db."""
    advice: str
    """How to make a ledger, said where none is found."""
