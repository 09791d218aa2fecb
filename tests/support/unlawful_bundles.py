"""What only somebody with the key can do, and proofs by themselves: the rest of the table."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from ledger.evidence.keys import encoded
from support.bundles import Evidence, Lines, Said, chained, complete, digest, line_of, selected
from support.tampered_bundles import CAUGHT, NOT_CAUGHT, Case, Deed, kept, of

(CONSUMER, STREAM, SUBJECT, VERSION, EPOCH, RECORDED, ACTOR, METADATA, TAG) = range(1, 10)
(PREVIOUS, SEQUENCE, DELIVERY, DELIVERED, OUTCOME, REASON, MESSAGE, OCCURRED) = range(10, 18)


def signed(change: Callable[[list[Said]], object], caught: bool = CAUGHT) -> Deed:
    """Sign a history that was changed, with digests that fit it."""

    def make(made: Evidence) -> Lines:
        texts = [list(said) for said in made.texts]
        change(texts)
        return complete(made.key, chained(texts))

    return of(make, caught)


def one(nth: int, place: int, value: object, caught: bool = CAUGHT) -> Deed:
    """Sign a history that ends with an entry in which one value was changed."""
    return several(nth, {place: value}, caught)


def several(nth: int, values: dict[int, object], caught: bool = CAUGHT) -> Deed:
    def change(texts: list[Said]) -> None:
        # What comes after it would be refused, too, for another reason.
        del texts[nth + 1 :]
        for place, value in values.items():
            texts[nth][place] = value

    return signed(change, caught)


def text(nth: int, old: bytes, new: bytes) -> Deed:
    """Sign a history that ends with an entry which is written in another way."""

    def make(made: Evidence) -> Lines:
        lines = chained(made.texts)
        assert old in lines[nth].text, (old, lines[nth].text)
        lines[nth] = attrs.evolve(lines[nth], text=lines[nth].text.replace(old, new, 1))
        return complete(made.key, lines[: nth + 1])

    return of(make)


def nested(depth: int) -> bytes:
    return b'{"n":' + b"[" * depth + b"]" * depth + b"}"


UNLAWFUL: dict[str, Deed] = {
    "a version left out": one(12, VERSION, 4),
    "a version twice": one(12, VERSION, 2),
    "an entry taken away": signed(lambda texts: texts.pop(1)),
    "an epoch that a reset does not move": one(3, EPOCH, 0),
    "an epoch moved without a reset": one(2, EPOCH, 1),
    "a move back without a reset": one(6, SEQUENCE, 2),
    "a move that starts elsewhere": one(6, PREVIOUS, 9),
    "another delivery of the same sequence": several(1, {SEQUENCE: 1}),
    "the same delivery again": several(12, {SEQUENCE: 7, DELIVERY: ""}, NOT_CAUGHT),
    "a reset without a reason": one(3, REASON, ""),
    "a reset without an actor": one(3, ACTOR, ""),
    "a reset that starts elsewhere": one(3, PREVIOUS, 1),
    "a start without a reason": one(7, REASON, ""),
    "a start without an actor": one(7, ACTOR, ""),
    "a start of a cursor that is there": several(
        12, {TAG: "cursor.started.v1", PREVIOUS: None, OUTCOME: None, REASON: "x", MESSAGE: ""}
    ),
    "recorded before the entry that it follows": one(2, RECORDED, 0),
    "one chain over all cursors": of(
        lambda made: complete(made.key, chained(made.texts, lambda _: "all"))
    ),
    "a chain that does not begin": of(
        lambda made: complete(made.key, [line_of(0, bytes(31) + b"x", made.texts[0])])
    ),
    "positions in another order": signed(lambda texts: texts.insert(0, texts.pop(4)), NOT_CAUGHT),
    "a version of selected entries twice": of(lambda made: forked(made, again=True)),
    "a fork of selected entries": of(lambda made: forked(made, again=False)),
    "selected entries recorded in another order": of(
        lambda made: selected(made.key, chained(changed(made, 3, RECORDED, 0)), [0, 3])
    ),
    # What selected entries leave out may be anything.
    "a move back, between selected entries": of(
        lambda made: selected(made.key, chained(changed(made, 2, SEQUENCE, 0)), [0, 6]), NOT_CAUGHT
    ),
    "rewritten, with a checkpoint of before": kept(
        lambda made: complete(made.key, chained(changed(made, 2, DELIVERY, "x")))
    ),
}

ODD: dict[str, Deed] = {
    "a kind that there is not": one(0, TAG, "cursor.moved.v1"),
    "another format": one(0, 0, "cursor-ledger/2"),
    "an outcome that there is not": one(0, OUTCOME, "lost"),
    "a cursor without a name": one(0, CONSUMER, ""),
    "a name with blanks around it": one(0, STREAM, " orders "),
    "a name that is too long": one(0, CONSUMER, "x" * 513),
    "a name with a NUL": one(0, CONSUMER, "web\0hooks"),
    "metadata that are a list": one(0, METADATA, []),
    "metadata with a number": one(0, METADATA, {"n": 1}),
    "metadata with a blank name": one(0, METADATA, {" ": "x"}),
    "metadata in metadata": one(0, METADATA, {"n": {"n": "x"}}),
    "17 metadata": one(0, METADATA, {str(n): "x" for n in range(17)}),
    "metadata that are too long": one(0, METADATA, {"n": "x" * 4_097}),
    "empty metadata": one(0, METADATA, {}, NOT_CAUGHT),
    "a version that is a fraction": one(0, VERSION, 1.0),
    "a version that is true": one(0, VERSION, True),
    "a version that is text": one(0, VERSION, "1"),
    "no version": one(0, VERSION, None),
    "a time beyond the year 9999": one(0, OCCURRED, 253_402_300_800_000_000),
    "a time before the year 1": one(0, DELIVERED, -62_135_596_800_000_001),
    "a sequence of 64 bits": one(12, SEQUENCE, 2**63 - 1, NOT_CAUGHT),
    "a sequence of 65 bits": one(12, SEQUENCE, 2**63),
    "a sequence of 10,000 digits": text(12, b",90,", b"," + b"9" * 10_000 + b","),
    "no number": text(12, b",90,", b",NaN,"),
    "a number with an exponent": text(12, b",90,", b",9e1,"),
    "a value too few": signed(lambda texts: texts[12].pop()),
    "a value too many": signed(lambda texts: texts[12].append(None)),
    "no entry": text(0, b'"cursor-ledger/1",', b""),
    "a blank in an entry": text(0, b",", b", "),
    "a name of metadata twice": text(0, b'{"n":"1"}', b'{"n":"1","n":"1"}'),
    "letters written as escapes": text(0, b"tester", b"\\u0074ester"),
    "a lone surrogate": text(0, b"tester", b"\\ud800"),
    "a NUL in the bytes": text(0, b"tester", b"te\0ster"),
    "bytes that are no UTF-8": text(0, b"tester", b"t\xffster"),
    "a line end in an entry": text(0, b"tester", b"te\nster"),
    "more behind an entry": text(0, b"]", b"]]"),
    "100,000 lists in each other": text(0, b'{"n":"1"}', nested(100_000)),
    "10 lists in each other": text(0, b'{"n":"1"}', nested(10)),
    "an actor of a million characters": one(0, ACTOR, "t" * 1_000_000, NOT_CAUGHT),
}


def changed(made: Evidence, nth: int, place: int, value: object) -> list[Said]:
    texts = [list(said) for said in made.texts]
    texts[nth][place] = value
    return texts


def forked(made: Evidence, *, again: bool) -> Lines:
    """Sign two entries that follow the same one, or one that does not follow what it says."""
    lines = chained(made.texts)
    other = [*made.texts[1]]
    other[DELIVERY] = "x"
    fork = line_of(len(lines), digest(lines[0]), other)
    if not again:
        other[VERSION] = 3
        fork = line_of(len(lines), bytes(32), other)
    return selected(made.key, [*lines, fork], [0, 1, len(lines)])


# --- proofs by themselves ---


def proof(change: Callable[[str, Evidence], str], caught: bool = CAUGHT) -> Deed:
    return lambda made: Case(change(made.proof, made).encode(), caught)


def growth(change: Callable[[str, Evidence], str], caught: bool = CAUGHT) -> Deed:
    return lambda made: Case(change(made.growth, made).encode(), caught, since=made.old)


def with_note(said: str, note: str) -> str:
    return said.partition("\n\n")[0] + "\n\n" + note


PROOFS: dict[str, Deed] = {
    "a proof": proof(lambda said, _: said, NOT_CAUGHT),
    "a proof of another place": proof(lambda said, _: said.replace("index 2", "index 3")),
    "a proof without its entry": proof(lambda said, _: said.replace("extra ", "extra AA")),
    "a proof under an older note": proof(lambda said, made: with_note(said, made.old)),
    "a proof that was cut": proof(lambda said, _: said[:-9]),
    "a proof of a blank entry": proof(
        lambda said, _: said.replace(said.split("\n")[1], "extra " + encoded(bytes(64)))
    ),
    "a proof with CR LF": proof(lambda said, _: said.replace("\n", "\r\n")),
    "growth": growth(lambda said, _: said, NOT_CAUGHT),
    "growth from another place": growth(lambda said, _: said.replace("old 7", "old 6")),
    "growth without a hash": growth(lambda said, _: said.replace(said.split("\n")[1] + "\n", "")),
    "growth of the older note": growth(lambda said, made: with_note(said, made.old)),
    "growth that was cut": growth(lambda said, _: said[: len(said) // 2]),
    "growth since a newer checkpoint": lambda made: Case(made.growth.encode(), since=made.note),
}
