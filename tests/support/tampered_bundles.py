"""What somebody can do to evidence, and whether who verifies it notices: a table."""

from __future__ import annotations

import json
from collections.abc import Callable

import attrs

from ledger import EvidenceKind, SigningKey
from ledger.evidence.bundles import Header, end_line
from support import bundles
from support.bundles import NAME, Evidence, Lines, Said, chained, complete, parsed, selected

CAUGHT, NOT_CAUGHT = True, False


@attrs.frozen
class Case:
    """A file, what is asked about it, and whether it is refused."""

    data: bytes
    caught: bool = CAUGHT
    origin: str | None = None
    since: str = ""
    vkey: str = ""


Deed = Callable[[Evidence], Case]


def of(make: Callable[[Evidence], Lines], caught: bool = CAUGHT, **asked: str) -> Deed:
    return lambda made: Case(b"".join(make(made)), caught, **asked)


def kept(make: Callable[[Evidence], Lines], caught: bool = CAUGHT, *, old: bool = True) -> Deed:
    """Ask also about a checkpoint that the verifier has kept."""
    return lambda made: Case(b"".join(make(made)), caught, since=made.old if old else made.note)


def end(lines: Lines) -> Lines:
    """Count the entries anew, as somebody careful does."""
    return [*lines, end_line(len(lines) - 1)]


def put(lines: Lines, index: int, old: str, new: str) -> Lines:
    """Replace a text in one line."""
    said = lines[index].decode()
    assert old in said, said
    return [*lines[:index], said.replace(old, new, 1).encode(), *lines[index + 1 :]]


def swapped(lines: Lines, first: int, second: int) -> Lines:
    done = list(lines)
    done[first], done[second] = done[second], done[first]
    return done


def renumbered(lines: Lines, nth: int = 2) -> Lines:
    """Exchange two entries, and give each the index of the other."""
    first, second = parsed(lines[nth]), parsed(lines[nth + 1])
    return [
        *lines[:nth],
        attrs.evolve(second, index=first.index).line,
        attrs.evolve(first, index=second.index).line,
        *lines[nth + 2 :],
    ]


def without_paths(lines: Lines) -> Lines:
    return [attrs.evolve(parsed(line), path=None).line for line in lines]


def with_path(
    lines: Lines, index: int, change: Callable[[tuple[bytes, ...]], tuple[bytes, ...]]
) -> Lines:
    line = parsed(lines[index])
    forged = attrs.evolve(line, path=change(line.path or ()))
    return [*lines[:index], forged.line, *lines[index + 1 :]]


def placed(lines: Lines, positions: dict[int, int]) -> Lines:
    """Return the lines with the positions of some entries, by the number of their lines."""
    return [
        put([line], 0, ',"', f',"position":{positions[nth]},"')[0] if nth in positions else line
        for nth, line in enumerate(lines)
    ]


def kind(lines: Lines, name: str) -> Lines:
    other = {"complete": "selected", "selected": "complete"}[name]
    return put(lines, 0, f'"kind":"{other}"', f'"kind":"{name}"')


def header(change: Callable[[dict[str, object]], object]) -> Callable[[Evidence], Lines]:
    def make(made: Evidence) -> Lines:
        said = json.loads(made.selected[0])
        change(said)
        text = json.dumps(said, ensure_ascii=False, separators=(",", ":"))
        return [text.encode() + b"\n", *made.selected[1:]]

    return make


def under(text: str, note: str, lines: Lines) -> Lines:
    """Put the text of one note above the signature of another."""
    forged = f"{text}\n\n{note.rpartition(chr(10) * 2)[2]}"
    return [Header(kind=EvidenceKind.COMPLETE, note=forged).line, *lines[1:]]


def whole(make: Callable[[bytes], bytes]) -> Deed:
    return lambda made: Case(make(b"".join(made.complete)))


def other_key(name: str = NAME) -> SigningKey:
    return SigningKey(name, bytes(range(32)))


HONEST: dict[str, Deed] = {
    "complete": of(lambda made: made.complete, NOT_CAUGHT),
    "selected": of(lambda made: made.selected, NOT_CAUGHT),
    "selected, without growth": of(lambda made: made.bare, NOT_CAUGHT),
    "all entries, selected": of(lambda made: made.every, NOT_CAUGHT),
    "complete, by the origin": of(lambda made: made.complete, NOT_CAUGHT, origin=NAME),
    "complete, since an older checkpoint": kept(lambda made: made.complete, NOT_CAUGHT),
    "complete, since its own checkpoint": kept(lambda made: made.complete, NOT_CAUGHT, old=False),
    "selected, since an older checkpoint": kept(lambda made: made.selected, NOT_CAUGHT),
    "selected, since its own checkpoint": kept(lambda made: made.bare, NOT_CAUGHT, old=False),
    "no entries": of(lambda made: complete(made.key, []), NOT_CAUGHT),
    "an archive": of(lambda made: placed(made.complete, {1: 7, 5: 900}), NOT_CAUGHT),
    "an archive up to the last position": of(
        lambda made: placed(made.complete, {13: 2**63 - 1}), NOT_CAUGHT
    ),
    "one entry": of(lambda made: complete(made.key, chained(made.texts[:1])), NOT_CAUGHT),
}

POSITIONS: dict[str, Deed] = {
    "a position that needs not be said": of(lambda made: placed(made.complete, {1: 1})),
    "a position that follows anyway": of(lambda made: placed(made.complete, {3: 7, 4: 8})),
    "a position again": of(lambda made: placed(made.complete, {3: 7, 4: 7})),
    "a position before": of(lambda made: placed(made.complete, {3: 7, 4: 6})),
    "a position of 0": of(lambda made: placed(made.complete, {1: 0})),
    "a position below 0": of(lambda made: placed(made.complete, {1: -7})),
    "a position beyond the last one": of(lambda made: placed(made.complete, {13: 2**63})),
    "a position behind the last one": of(lambda made: placed(made.complete, {12: 2**63 - 1})),
    "a position of 20 digits": of(lambda made: placed(made.complete, {13: 10**19})),
    "a position in a selected bundle": of(lambda made: placed(made.selected, {1: 7})),
    "a position and no path": of(
        lambda made: placed([made.bare[0], *without_paths(made.bare[1:-1]), made.bare[-1]], {1: 7})
    ),
    "a position behind what it stands before": of(
        lambda made: put(made.complete, 1, ',"entry":', ',"position":7,"entry":')
    ),
}

OMITTED: dict[str, Deed] = {
    "an entry left out": of(lambda made: made.complete[:3] + made.complete[4:]),
    "an entry left out, and counted": of(lambda made: end(made.complete[:3] + made.complete[4:-1])),
    "an entry left out of selected": of(lambda made: made.selected[:3] + made.selected[4:]),
    # Selected entries prove that they are there, and no more.
    "an entry left out of selected, and counted": of(
        lambda made: end(made.selected[:3] + made.selected[4:-1]), NOT_CAUGHT
    ),
    "the tail of selected cut, and counted": of(lambda made: end(made.selected[:4]), NOT_CAUGHT),
    "all entries left out of selected": of(lambda made: end(made.selected[:1]), NOT_CAUGHT),
    "the last entry left out": of(lambda made: end(made.complete[:-2])),
    "the tail cut": of(lambda made: made.complete[:-3]),
    "the tail of selected cut": of(lambda made: made.selected[:-2]),
    "the last line cut": of(lambda made: made.complete[:-1]),
    "the last line end cut": of(lambda made: [*made.complete[:-1], made.complete[-1][:-1]]),
    "cut in a line": of(lambda made: [*made.complete[:4], made.complete[4][:50]]),
    "only the first line": of(lambda made: made.complete[:1]),
    "nothing": of(lambda _: []),
}

CHANGED: dict[str, Deed] = {
    "an actor edited": of(lambda made: put(made.complete, 2, '"tester"', '"nobody"')),
    "a sequence edited": of(lambda made: put(made.selected, 2, ",2,", ",3,")),
    "the last entry edited": of(lambda made: put(made.complete, 13, '"tester"', '"nobody"')),
    "all entries rewritten under the same note": of(
        lambda made: [
            made.complete[0],
            *complete(made.key, chained(renamed(made.texts)))[1:],
        ]
    ),
    "entries of two cursors in another order, renumbered": of(
        lambda made: renumbered(made.complete, 4)
    ),
    "an index edited": of(lambda made: put(made.complete, 3, '"index":2', '"index":3')),
    "an index of selected edited": of(lambda made: put(made.selected, 3, '"index":2', '"index":3')),
    "a digest before edited": of(
        lambda made: put(made.complete, 2, '"previous":"', '"previous":"0')
    ),
    "another digest before": of(
        lambda made: [
            *made.complete[:2],
            attrs.evolve(parsed(made.complete[2]), previous=bytes(32)).line,
            *made.complete[3:],
        ]
    ),
    "a count edited": of(lambda made: [*made.complete[:-1], end_line(12)]),
    "an entry doubled": of(lambda made: [*made.complete[:3], made.complete[2], *made.complete[3:]]),
    "an entry of selected doubled": of(
        lambda made: end([*made.selected[:3], *made.selected[2:-1]])
    ),
    "an entry inserted": of(
        lambda made: [
            *made.complete[:-1],
            bundles.line_of(13, bytes(32), made.texts[0]).line,
            end_line(14),
        ]
    ),
    "entries in another order": of(lambda made: swapped(made.complete, 2, 3)),
    "selected entries in another order": of(lambda made: swapped(made.selected, 2, 3)),
    "entries in another order, renumbered": of(lambda made: renumbered(made.complete)),
    "selected entries in another order, renumbered": of(lambda made: renumbered(made.selected)),
    "selected entries of two cursors in another order": of(lambda made: swapped(made.every, 4, 5)),
    "a hash of a path forged": of(
        lambda made: with_path(made.selected, 2, lambda path: (bytes(32), *path[1:]))
    ),
    "a path cut": of(lambda made: with_path(made.selected, 2, lambda path: path[:-1])),
    "a path too long": of(lambda made: with_path(made.selected, 2, lambda path: (*path, path[-1]))),
    "a path without a hash": of(lambda made: with_path(made.selected, 2, lambda _: ())),
    "a path of another entry": of(
        lambda made: with_path(made.selected, 2, lambda _: parsed(made.selected[3]).path or ())
    ),
    "a path of 65 hashes": of(
        lambda made: put(made.selected, 2, '"path":[', '"path":[' + f'"{"A" * 43}=",' * 65)
    ),
}

DECLARED: dict[str, Deed] = {
    "complete declared selected": of(lambda made: kind(made.complete, "selected")),
    "selected declared complete": of(lambda made: kind(made.bare, "complete")),
    "all selected entries declared complete": of(lambda made: kind(made.every, "complete")),
    "selected with growth declared complete": of(lambda made: kind(made.selected, "complete")),
    "selected declared complete, without paths": of(
        lambda made: end([*kind(made.bare, "complete")[:1], *without_paths(made.bare[1:-1])])
    ),
    "a kind that there is not": of(lambda made: put(made.complete, 0, '"complete"', '"whole"')),
    "a kind that is no text": of(lambda made: put(made.complete, 0, '"complete"', "[]")),
    "another format": of(lambda made: put(made.complete, 0, "evidence/1", "evidence/2")),
    "no format": of(header(lambda said: said.pop("format"))),
    "no note": of(header(lambda said: said.pop("note"))),
    "a note that is none": of(header(lambda said: said.update(note="x"))),
    "a note that is no text": of(header(lambda said: said.update(note=7))),
    "more in the first line": of(header(lambda said: said.update(x=1))),
    "a blank in the first line": of(lambda made: put(made.complete, 0, '","', '", "')),
    "the first line in another order": of(
        header(lambda said: said.update(format=said.pop("format")))
    ),
    "the first line as ASCII": of(lambda made: put(made.complete, 0, "—", "\\u2014")),
    "the first line is a list": of(lambda made: [b"[]\n", *made.complete[1:]]),
    "the first line is a number": of(lambda made: [b"7\n", *made.complete[1:]]),
    "a format twice": of(
        lambda made: put(made.complete, 0, "{", '{"format":"cursor-ledger-evidence/1",')
    ),
    "a root edited": of(lambda made: put(made.complete, 0, "\\n13\\n", "\\n12\\n")),
    "a signature edited": of(
        header(lambda said: said.update(note=str(said["note"])[:-6] + "AAA=\n"))
    ),
    "the signature of another note": of(
        lambda made: under(made.note.rpartition("\n\n")[0], made.old, made.complete)
    ),
    "rewritten, and its root in the note": of(
        lambda made: under(
            bundles.note_over(made.key, chained(renamed(made.texts))).rpartition("\n\n")[0],
            made.note,
            complete(made.key, chained(renamed(made.texts))),
        )
    ),
    "the older note left out": of(header(lambda said: said.pop("since"))),
    "growth left out": of(header(lambda said: said.pop("growth"))),
    "growth emptied": of(header(lambda said: said.update(growth=[]))),
    "growth forged": of(header(lambda said: said.update(growth=["A" * 43 + "="] * 4))),
    "growth of no texts": of(header(lambda said: said.update(growth=[7]))),
    "growth that is a text": of(header(lambda said: said.update(growth="x"))),
    "growth since no note": of(header(lambda said: said.update(since="x"))),
    "growth since the same note": of(header(lambda said: said.update(since=said["note"]))),
    # Without a checkpoint that was kept, this is the honest bundle that has none of them.
    "older note and growth left out, with a checkpoint that was kept": kept(
        lambda made: [made.bare[0], *made.selected[1:]]
    ),
}

JOINED: dict[str, Deed] = {
    "two bundles one behind the other": of(lambda made: made.complete * 2),
    "the entries of two bundles": of(lambda made: made.complete[:-1] + made.complete_old[1:]),
    "an older note over all entries": of(lambda made: made.complete_old[:1] + made.complete[1:]),
    "a newer note over older entries": of(lambda made: made.complete[:1] + made.complete_old[1:]),
    # An older bundle is true, of when it was signed.
    "the older bundle": of(lambda made: made.complete_old, NOT_CAUGHT),
    "the older bundle, with the newer checkpoint": kept(lambda made: made.complete_old, old=False),
    "the entries of two selected bundles": of(
        lambda made: end(made.selected[:-1] + made.every[1:-1])
    ),
    "a last line in between": of(
        lambda made: [*made.complete[:4], end_line(3), *made.complete[4:]]
    ),
}

STRANGERS: dict[str, Deed] = {
    "another origin": of(lambda made: made.complete, origin="example.com/others"),
    "another key of the same name": of(lambda made: complete(other_key(), chained(made.texts))),
    "selected, by another key": of(lambda made: selected(other_key(), chained(made.texts), [1, 3])),
    "another key is trusted": of(lambda made: made.complete, vkey=other_key().verifier.text),
    "another ledger of another name": of(
        lambda made: complete(other_key("example.com/x"), chained(made.texts))
    ),
    "an older note of another key": of(
        lambda made: [
            made.selected[0].replace(
                json.dumps(made.old, ensure_ascii=False)[1:-1].encode(),
                json.dumps(
                    bundles.note_over(other_key(), chained(made.texts[:7])), ensure_ascii=False
                )[1:-1].encode(),
            ),
            *made.selected[1:],
        ]
    ),
    # A proof of the whole history, rewritten by who has the key, holds by itself;
    "all rewritten, and signed again": of(
        lambda made: complete(made.key, chained(renamed(made.texts))), NOT_CAUGHT
    ),
    # only a checkpoint that was kept tells.
    "all rewritten, with a checkpoint that was kept": kept(
        lambda made: complete(made.key, chained(renamed(made.texts)))
    ),
    "selected of a rewritten history": of(
        lambda made: selected(made.key, chained(renamed(made.texts)), [0, 1]), NOT_CAUGHT
    ),
    "selected of a rewritten history, with a checkpoint that was kept": kept(
        lambda made: selected(made.key, chained(renamed(made.texts)), [0, 1])
    ),
    "cut off, and signed again": of(
        lambda made: complete(made.key, chained(made.texts[:9])), NOT_CAUGHT
    ),
    "cut off behind the checkpoint that was kept": kept(
        lambda made: complete(made.key, chained(made.texts[:9])), NOT_CAUGHT
    ),
    "cut off before the checkpoint that was kept": kept(
        lambda made: complete(made.key, chained(made.texts[:5]))
    ),
}

WRITTEN: dict[str, Deed] = {
    "lines that end in CR LF": whole(lambda data: data.replace(b"\n", b"\r\n")),
    "a mark of byte order": whole(lambda data: b"\xef\xbb\xbf" + data),
    "a NUL": whole(lambda data: data.replace(b"tester", b"te\0ster", 1)),
    "a NUL at the end": whole(lambda data: data + b"\0"),
    "a line end at the end": whole(lambda data: data + b"\n"),
    "a blank line": whole(lambda data: data.replace(b"\n", b"\n\n", 1)),
    "more at the end": whole(lambda data: data + b"x"),
    "UTF-16": whole(lambda data: data.decode().encode("utf-16")),
    "a byte that is no UTF-8": whole(lambda data: data.replace(b"tester", b"test\xffr", 1)),
    "a blank in a line": whole(lambda data: data.replace(b'"entry":', b'"entry": ', 1)),
    "a blank behind a line": whole(lambda data: data.replace(b"]}\n", b"]} \n", 1)),
    "names in another order": of(lambda made: put(made.complete, 1, '{"index":0,', "{").copy()),
    "an index of leading zeros": whole(lambda data: data.replace(b'"index":1,', b'"index":01,', 1)),
    "an index that is text": whole(lambda data: data.replace(b'"index":1,', b'"index":"1",', 1)),
    "an index of 19 digits": whole(
        lambda data: data.replace(b'"index":1,', b'"index":9999999999999999999,', 1)
    ),
    "an index below 0": whole(lambda data: data.replace(b'"index":1,', b'"index":-1,', 1)),
    "digits of a digest in capitals": of(
        lambda made: [*made.complete[:2], upper(made.complete[2]), *made.complete[3:]]
    ),
    "a line of a million characters": whole(
        lambda data: data.replace(b"tester", b"t" * 1_000_000, 1)
    ),
    "a line of three million characters": whole(
        lambda data: data.replace(b"tester", b"t" * 3_000_000, 1)
    ),
    "a million characters without a line": whole(lambda _: b"{" * 1_000_000),
    "three million characters without a line": whole(lambda _: b"{" * 3_000_000),
}


def upper(line: bytes) -> bytes:
    said = parsed(line)
    return line.replace(said.previous.hex().encode(), said.previous.hex().upper().encode())


def renamed(texts: list[Said]) -> list[Said]:
    """Return the history as it would be if another actor had done all of it."""
    return [[*said[:7], "somebody", *said[8:]] for said in texts]
