"""What a check of the tables has in common on every database: definitions and tags compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ledger.evidence.findings import Fault, FaultKind
from ledger.log.rows import Row
from ledger.stores.tables import START_ID, TAG_IDS

__all__ = ["differences", "misplaced_tags", "tag_ids", "wrong_ids", "wrong_tags"]


def differences(made: Mapping[str, str], found: Mapping[str, str]) -> Iterator[Fault]:
    """Compare the definitions that are there with those that the migrations make.

    Each is named by its kind and its name, such as `trigger ledger_events_refuse_update`.
    """
    for name, definition in made.items():
        if name not in found:
            yield Fault(kind=FaultKind.DEFINITION, place=name, detail="it is missing")
        elif found[name] != definition:
            detail = f"it is not as it was made: {_differing(definition, found[name])}"
            yield Fault(kind=FaultKind.DEFINITION, place=name, detail=detail)
    for name in found.keys() - made.keys():
        detail = "the ledger did not make it; whoever did can change what is stored or read"
        yield Fault(kind=FaultKind.FOREIGN, place=name, detail=detail)


def tag_ids(*, starts: bool) -> dict[str, int]:
    """Return the tags that the tables have, with or without the one of starts, by their ids."""
    return {tag: number for tag, number in TAG_IDS.items() if starts or number != START_ID}


def wrong_tags(found: Iterable[Row], known: Mapping[str, int]) -> Iterator[Fault]:
    """Compare the (id, tag) rows of ledger_tags with the `known` tags."""
    made = {(number, tag) for tag, number in known.items()}
    there = {(number, tag) for number, tag in found}
    for number, tag in sorted(made - there):
        detail = f"{tag} is not there as {number}"
        yield Fault(kind=FaultKind.TAG, place="ledger_tags", detail=detail)
    for number, tag in sorted(there - made, key=str):
        detail = f"{number!r:.40} stands for {tag!r:.60}; events of that id are hidden from readers"
        yield Fault(kind=FaultKind.TAG, place="ledger_tags", detail=detail)


def wrong_ids(rows: int) -> Iterator[Fault]:
    """Name a table of the ledger's id that has not one row, of those that were counted."""
    if rows != 1:
        detail = f"it has {'no id' if not rows else 'more than one id'}, and a ledger has one"
        yield Fault(kind=FaultKind.DEFINITION, place="ledger_identity", detail=detail)


def misplaced_tags(found: Iterable[Row]) -> Iterator[Fault]:
    """Name the (position, tag id) entries whose tag id is none of the ledger's."""
    for position, number in found:
        detail = f"its tag id is {number!r:.40}; those who ask for a kind of entry miss it"
        yield Fault(kind=FaultKind.TAG, place="the log", position=position, detail=detail)


def _differing(made: str, found: str) -> str:
    """Return what stands in place of what, from the first word that differs."""
    ours, theirs = made.split(), found.split()
    nth = next(
        (n for n, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b),
        min(len(ours), len(theirs)),
    )
    words = slice(max(0, nth - 2), nth + 6)
    return f"{' '.join(theirs[words])!r:.120} in place of {' '.join(ours[words])!r:.120}"
