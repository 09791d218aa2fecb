"""How a witness works: its key in a file, and beside it the last checkpoint that it has cosigned.

A witness has no ledger. It compares each checkpoint that it is given with the one that it has
cosigned before, by a proof of growth, and keeps the newer one before anybody sees the cosignature.
"""

from __future__ import annotations

import os
from datetime import datetime

from ledger.errors import DivergedError, InvalidCursorError, UnprovenError
from ledger.evidence.key_files import SIGNED, keep_note, last_note, locked, make_files
from ledger.evidence.notes import Keys
from ledger.evidence.paths import is_consistent
from ledger.evidence.proofs import ConsistencyProof, is_growth
from ledger.evidence.tree_heads import EMPTY_ROOT, TreeHead
from ledger.evidence.witnesses import CosigningKey, cosignatures
from ledger.law.fields import moment
from ledger.log.text import instant, show_time

__all__ = ["cosign", "make_witness"]


def make_witness(path: str | os.PathLike[str], name: str) -> CosigningKey:
    """Make the key of a witness called `name`, and keep it in a new file for its owner alone.

    `name` is like an address of yours, without a scheme, and other than the origin of the ledger.
    The key watches one ledger, the first whose checkpoint it cosigns; beside it, `path` +
    ".signed" has the last one. A file that is there is never written over.

    Raises InvalidCursorError, StorageError.

    >>> import ledger, os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     key = ledger.make_witness(f"{folder}/key", "witness.example.com/ines")
    ...     sorted(os.listdir(folder))
    ['key', 'key.signed']
    """
    key = CosigningKey.new(name)
    nothing = TreeHead(name, 0, EMPTY_ROOT).text
    make_files(path, key, f"{nothing}\n{key.line(nothing, instant(0))}")
    return key


def cosign(
    path: str | os.PathLike[str],
    given: str | bytes,
    keys: Keys,
    *,
    at: datetime,
    origin: str | None = None,
) -> str:
    """Return a checkpoint of a ledger with the cosignature of the witness whose key is at `path`.

    `given` is a proof of growth from the checkpoint that was cosigned last: the text of
    `Ledger.prove_growth`. The first time, and for the same checkpoint again, the signed note alone
    will do. `keys` are those that may sign for the ledger, `origin` its name if none of them has
    it, and `at` the time now.

    Raises UnprovenError if the checkpoint is not signed, or its growth not proved; DivergedError
    if it is another history than the one that was cosigned; InvalidCursorError, LedgerBusyError,
    StorageError for the file.

    >>> import ledger, tempfile
    >>> from datetime import UTC, datetime
    >>> with tempfile.TemporaryDirectory() as folder, ledger.open(":memory:") as book:
    ...     key = ledger.make_key(f"{folder}/key", "example.com/cursors")
    ...     witness = ledger.make_witness(f"{folder}/witness", "witness.example.com/ines")
    ...     now = datetime(2026, 11, 24, tzinfo=UTC)
    ...     note = book.sign(f"{folder}/key")
    ...     cosigned = ledger.cosign(f"{folder}/witness", note, [key.verifier], at=now)
    >>> [found] = ledger.cosignatures(cosigned, [witness.verifier])
    >>> found.name, found.at == now
    ('witness.example.com/ines', True)
    """
    keys, at = list(keys), moment(at, "at")
    with locked(path, CosigningKey) as (place, key):
        last, last_at = _last(place, key)
        proof = ConsistencyProof.parse(given) if is_growth(given) else None
        note = given if proof is None else proof.note
        head = TreeHead.opened(note, keys, origin=origin)
        if last.entries and head.origin != last.origin:
            raise InvalidCursorError(
                f"{place} watches {last.origin!r:.80}, and the checkpoint is of "
                f"{head.origin!r:.80}. Make another key for it: each witnesses one ledger."
            )
        _look(place, last, head, proof)
        _look_at_clock(place, last_at, at)
        cosigned = key.cosign(note, at)
        keep_note(place, cosigned)
    return cosigned


def _last(place: str, key: CosigningKey) -> tuple[TreeHead, datetime]:
    with last_note(place) as kept:
        found = cosignatures(kept, [key.verifier])
        if not found:
            raise UnprovenError(f"{key.name} has not cosigned it.")
        return TreeHead.unverified(kept), found[0].at


def _look_at_clock(place: str, last_at: datetime, at: datetime) -> None:
    """Refuse a time before the last one: a cosignature says that no larger tree was seen by then.

    Of that, https://c2sp.org/tlog-cosignature says what it means.
    """
    if at < last_at:
        raise InvalidCursorError(
            f"{place} has cosigned at {show_time(last_at)}, and now it is {show_time(at)}: the "
            "clock was set back, or was wrong then. Set it right; if it was wrong then, wait until "
            "that time, or make another key."
        )


def _look(place: str, last: TreeHead, head: TreeHead, proof: ConsistencyProof | None) -> None:
    """Refuse a checkpoint that does not continue the last one."""
    if head.entries < last.entries:
        raise UnprovenError(
            f"the checkpoint is over {head.entries:,} entries, and {place} has cosigned "
            f"{last.entries:,} already. Give a newer one."
        )
    if proof is None:
        if 0 < last.entries < head.entries:
            raise UnprovenError(
                f"{place} has cosigned {last.entries:,} entries, and it is to be proved that the "
                f"{head.entries:,} of this checkpoint begin with them. Ask for the proof: "
                f"proof --consistency {place}{SIGNED} --checkpoint NOTE."
            )
        path: tuple[bytes, ...] = ()
    elif proof.old != last.entries:
        if (head.entries, head.root) == (last.entries, last.root):
            # Perhaps nobody has got it, because a kill came before it was printed.
            raise UnprovenError(
                f"{place} has cosigned this checkpoint already, and the proof begins at "
                f"{proof.old:,} entries. To have the cosignature again, cosign {place}{SIGNED}, "
                "which has the checkpoint without a proof."
            )
        raise UnprovenError(
            f"the proof begins at {proof.old:,} entries, but {place} has cosigned "
            f"{last.entries:,}. Ask for one from there: proof --consistency {place}{SIGNED}."
        )
    else:
        path = proof.path
    if not is_consistent(last.entries, head.entries, path, last.root, head.root):
        raise DivergedError(
            f"the {head.entries:,} entries of the checkpoint are not proved to begin with the "
            f"{last.entries:,} that {place} has cosigned: the proof is false, or the ledger has "
            f"another history for you than before. Nothing was cosigned; keep {place}{SIGNED} and "
            "what you were given."
        )
