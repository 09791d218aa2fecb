"""Signed notes and verifier keys, where they are typed or named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import click

from ledger.cli.parameters import Parameter, files
from ledger.cli.shown.sentences import say
from ledger.errors import InvalidCursorError, UnprovenError
from ledger.evidence.keys import PublicKey
from ledger.evidence.notes import NOTE_BYTES_MAX, VerifierKey
from ledger.evidence.tree_heads import TreeHead
from ledger.evidence.witnesses import Cosignature, WitnessKey, cosignatures
from ledger.log.text import show_time, visible

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = [
    "NOTE",
    "NOTES",
    "Note",
    "about",
    "check_witnesses",
    "origin_option",
    "say_witnesses",
    "signed_heads",
    "vkey_option",
    "witness_options",
]

K = TypeVar("K", bound=PublicKey)


@attrs.frozen
class Note:
    """What a file has in it, and how the file is called."""

    name: str
    data: bytes


class _Note(Parameter[Note]):
    """A file with a signed note, or with a proof."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Note:
        """Read the file, unless it is too long to be one."""
        with click.File("rb").convert(value, param, ctx) as file:
            try:
                return Note(value, file.read(2 * NOTE_BYTES_MAX + 1))
            except OSError as error:
                self.fail(f"{value!r}: {error.strerror}.", param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Let the shell complete the name of a file."""
        return files(ctx, param, incomplete)


class _Notes(Parameter[tuple[Note, ...]]):
    """A file with a signed note, or a folder with files that end in `.note`."""

    name = "file or folder"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Note, ...]:
        """Read the file, or each file in the folder, in the order of their names."""
        try:
            places = sorted(Path(value).glob("*.note")) if Path(value).is_dir() else [value]
        except (OSError, ValueError) as error:
            self.fail(f"{value!r}: {error}.", param, ctx)
        if not places:
            self.fail(f"{value!r} is a folder without any file that ends in .note.", param, ctx)
        return tuple(NOTE.convert(str(each), param, ctx) for each in places)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Let the shell complete the name of a file."""
        return files(ctx, param, incomplete)


class _PublicKey(Parameter[K]):
    """A key that verifies, or the file that it is in."""

    name = "vkey"

    def __init__(self, kind: type[K]) -> None:
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> K:
        """Return the key; what reads as one is never taken for the name of a file."""
        try:
            try:
                return self._kind.parse(value)
            except InvalidCursorError:
                place = Path(value)
                if not place.is_file():
                    raise
                return self._kind.parse(place.read_bytes()[:4_096].decode("utf-8", "replace"))
        except (InvalidCursorError, OSError, ValueError) as error:
            self.fail(visible(str(error)), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Let the shell complete the name of a file."""
        return files(ctx, param, incomplete)


NOTE = _Note()

NOTES = _Notes()


def vkey_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--vkey`."""
    return click.option(
        "--vkey",
        "vkeys",
        type=_PublicKey(VerifierKey),
        metavar="VKEY",
        multiple=True,
        help="A key that you trust, or the file that it is in: NAME+ID+KEY. Repeatable.",
    )(command)


def origin_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--origin`."""
    return click.option(
        "--origin",
        help="The ledger that it must be about; the name of the key if not given.",
    )(command)


def witness_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--witness` and `--quorum`."""
    command = click.option(
        "--quorum",
        type=click.IntRange(1),
        help="How many of the --witness keys must have cosigned; all of them if not given.",
    )(command)
    return click.option(
        "--witness",
        "witnesses",
        type=_PublicKey(WitnessKey),
        metavar="VKEY",
        multiple=True,
        help="The key of a witness that you trust, or its file: who must have cosigned the "
        "checkpoint. Repeatable.",
    )(command)


def check_witnesses(
    note: str | bytes, witnesses: Sequence[WitnessKey], quorum: int | None
) -> tuple[Cosignature, ...]:
    """Return who of `witnesses` has cosigned. Raises UnprovenError if they are too few.

    A witness counts once, by its name, whichever of its keys has cosigned: it may have a new one.
    """
    asked = {key.name for key in witnesses}
    if quorum is not None and quorum > len(asked):
        raise click.UsageError(
            f"--quorum {quorum} needs as many witnesses, each of another name: --witness VKEY."
        )
    found = cosignatures(note, witnesses)
    needed = len(asked) if quorum is None else quorum
    if len(found) < needed:
        missing = ", ".join(sorted(asked.difference(each.name for each in found)))
        raise UnprovenError(
            f"{len(found)} of the {needed} witnesses that it needs have cosigned the checkpoint; "
            f"missing: {missing:.200}. Ask them for their cosignature, or whoever gave it to you."
        )
    return found


def say_witnesses(found: Iterable[Cosignature]) -> None:
    """Print who has cosigned, and when."""
    for each in found:
        say(f"cosigned by {visible(each.name)} at {show_time(each.at)}", err=True)


def signed_heads(
    notes: Sequence[Note],
    keys: Sequence[VerifierKey],
    origin: str | None,
    witnesses: Sequence[WitnessKey],
    quorum: int | None,
) -> Iterator[tuple[str, TreeHead]]:
    """Return the head in each note, with the name of its file, and say who has cosigned it.

    Raises UnprovenError for the first that none of `keys` has signed, or too few of `witnesses`.
    """
    if bool(notes) != bool(keys) or ((origin or witnesses) and not notes):
        raise click.UsageError(
            "--checkpoint needs --vkey, and neither is of use without the other."
        )
    for note in notes:
        with about(note):
            head = TreeHead.opened(note.data, keys, origin=origin)
            say_witnesses(check_witnesses(note.data, witnesses, quorum))
        yield note.name, head


class about:  # noqa: N801 - it reads as a statement
    """Names the file in what is refused within."""

    def __init__(self, note: Note) -> None:
        self._note = note

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Raise what was refused, with the name of the file."""
        if isinstance(error, UnprovenError):
            raise UnprovenError(f"{self._note.name}: {error}") from None
