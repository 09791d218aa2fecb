#!/usr/bin/env python3
"""Verify evidence of a cursor ledger with Python 3.8 or later and openssl 3, and nothing else.

    python3 -I verify.py FILE --vkey VKEY [--origin NAME] [--checkpoint OLD] [--entries]

FILE is a bundle of evidence, a proof of an entry, or a proof of growth. VKEY is the key that you
trust, or the file that it is in; have it from somebody you know, and never from whoever gave you
FILE. OLD is a checkpoint that you kept. --entries prints what the entries say, as JSON.

It exits with 0 if FILE proves what is printed, with 5 if not, and with 2 if it was called wrongly.
What notes, checkpoints and proofs are is at https://c2sp.org, and what a tree is in RFC 9162.
"""

import argparse, base64, hashlib, json, os, re, subprocess, sys, tempfile

LINE_MAX, NOTE_MAX, INT_MAX, ZEROS = 2_000_000, 1_000_000, 2**63 - 1, bytes(32)
ENTRY, BUNDLE, PROOF = "cursor-ledger/1", "cursor-ledger-evidence/1", "c2sp.org/tlog-proof@v1"


class Unproven(ValueError):
    pass


def need(holds, why):
    if not holds:
        raise Unproven(why)


def sha(data):
    return hashlib.sha256(data).digest()


# --- text that can be written in one way only ---


def number(text):
    need(re.fullmatch("0|[1-9][0-9]{0,18}", text) and int(text) <= INT_MAX, "no number")
    return int(text)


def decoded(text, size=None):
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except ValueError:
        data = b""
    sound = data and base64.b64encode(data).decode() == text and size in {None, len(data)}
    need(sound, "no base64, or of another length: %.60r" % text)
    return data


def hashes(texts):
    sound = type(texts) is list and len(texts) <= 64 and {type(text) for text in texts} <= {str}
    need(sound, "no list of hashes, of which no tree has more than 64")
    return [decoded(text, 32) for text in texts]


def once(pairs):
    need(len(dict(pairs)) == len(pairs), "JSON with a name twice")
    return dict(pairs)


def parsed(text):
    """Return the JSON value in bytes that are written as the ledger writes them."""
    try:
        value = json.loads(text.decode(), object_pairs_hook=once)
        again = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except (ValueError, RecursionError) as error:
        raise Unproven("no JSON: %.80s" % error) from None
    need(again == text, "JSON that is written in another way")
    return value


# --- signed notes: c2sp.org/signed-note and c2sp.org/tlog-checkpoint ---


def is_name(name):
    return 0 < len(name) <= 512 and not any(c == "+" or c.isspace() or c < " " for c in name)


def key_of(text):
    name, key_id, key = (text.strip().split("+", 2) + ["", ""])[:3]
    data = decoded(key)
    need(is_name(name) and len(data) == 33 and data[0] == 1, "only Ed25519 is read")
    need(sha(name.encode() + b"\n" + data)[:4].hex() == key_id, "the key has another id")
    return name, bytes.fromhex(key_id), data[1:]


def has_signed(public, text, signature):
    with tempfile.TemporaryDirectory() as folder:
        places = [os.path.join(folder, name) for name in ("key", "text", "signature")]
        der = bytes.fromhex("302a300506032b6570032100") + public  # RFC 8410
        for place, data in zip(places, (der, text, signature)):
            with open(place, "wb") as file:
                file.write(data)
        command = "openssl pkeyutl -verify -pubin -keyform DER -rawin -inkey".split()
        command += [places[0], "-in", places[1], "-sigfile", places[2]]
        done = subprocess.run(command, capture_output=True)
    if done.returncode and len(signature) == 64 and b"Verification Failure" not in done.stdout:
        raise OSError("openssl cannot say: %r" % done.stderr[:200])
    return done.returncode == 0


def opened(note, keys, origins):
    """Return the origin, the number of entries and the root in a note, if one of keys signed it."""
    odd = any((c < " " and c != "\n") or "\ud800" <= c <= "\udfff" for c in note)
    need(not odd and len(note.encode()) <= NOTE_MAX, "a note too long, or with control characters")
    text, gap, tail = note.rpartition("\n\n")
    need(gap and tail.endswith("\n") and tail.count("\n") <= 100, "a note without a signature")
    lines = [re.fullmatch("\u2014 ([^ ]+) ([^ ]+)", line) for line in tail[:-1].split("\n")]
    need(all(line and is_name(line[1]) for line in lines), "a line that is no signature")
    signed = False
    for name, data in [(line[1], decoded(line[2])) for line in lines]:
        need(len(data) >= 5, "a signature that is too short")
        for own, key_id, public in keys:
            if (name, data[:4]) == (own, key_id):
                true = has_signed(public, (text + "\n").encode(), data[4:])
                need(true, "a note that was changed")
                signed = True
    need(signed, "a note without a signature of a key that you trust")
    lines = text.split("\n")
    need(len(lines) >= 3 and "" not in lines, "a note that is no checkpoint")
    need(lines[0] in origins, "the note is about %.80a" % lines[0])
    size, root = number(lines[1]), decoded(lines[2], 32)
    need(size or root == sha(b""), "a root over no entries")
    return lines[0], size, root


# --- trees: RFC 9162, section 2.1 ---


def joined(left, right):
    return sha(b"\1" + left + right)


def root_by(path, index, size, leaf):
    """Return the root of a tree with leaf at index, if path has the hashes beside the way up."""
    need(index < size and bool(path) == (size > 1), "a path of another length")
    if size == 1:
        return leaf
    half = 1 << (size - 1).bit_length() - 1
    if index < half:
        return joined(root_by(path[:-1], index, half, leaf), path[-1])
    return joined(path[-1], root_by(path[:-1], index - half, size - half, leaf))


def roots_by(path, old, size, old_root=None):
    """Return the roots over the first old leaves and over all, by the hashes in path."""
    if old == size:
        need(len(path) == (old_root is None), "a path of another length")
        return (old_root or path[0],) * 2
    need(path, "a path of another length")
    half = 1 << (size - 1).bit_length() - 1
    if old <= half:
        before, now = roots_by(path[:-1], old, half, old_root)
        return before, joined(now, path[-1])
    return tuple(joined(path[-1], root) for root in roots_by(path[:-1], old - half, size - half))


def check_growth(path, before, now):
    (origin, old, old_root), (name, size, root) = before, now
    need(origin == name and old <= size, "the older checkpoint is of another ledger, or newer")
    grown = roots_by(path, old, size, old_root) == (old_root, root) if old else not path
    need(grown, "it does not begin with the entries of the older checkpoint")


def add_leaf(peaks, size, digest):
    """Add a leaf to the roots of full subtrees over size leaves, the largest first."""
    node = sha(b"\0" + digest)
    while size & 1:
        node, size = joined(peaks.pop(), node), size >> 1
    peaks.append(node)


def root_over(peaks):
    root = peaks[-1] if peaks else sha(b"")
    for peak in peaks[-2::-1]:
        root = joined(peak, root)
    return root


# --- entries, and what the law of cursors says of them ---

# The types in an entry, behind its format and its kind: s a text, i a number, t a time, m metadata,
# - null; with ?, or null. See "The log format" in docs/design.md for what each of them is.
HEAD = "s s s i i t s m?"
KINDS = {
    "cursor.advanced.v1": "i i s t s - - t",
    "cursor.reset.v1": "i i s t? - s - t",
    "cursor.error.v1": "- - - - - - s t",
    "cursor.started.v1": "- i s t? - s s t",
}


def is_a(kind, value):
    if value is None:
        return kind == "-" or kind.endswith("?")
    if kind == "m?":
        texts = [text for pair in value.items() for text in pair] if type(value) is dict else [0]
        sound = len(texts) <= 32 and all(type(text) is str and "\0" not in text for text in texts)
        return sound and all(map(str.strip, value)) and sum(map(len, texts)) <= 4096
    if kind == "s":
        return type(value) is str
    if kind[0] == "t":  # microseconds; from the year 1 to 9999
        return type(value) is int and -62135596800000000 <= value < 253402300800000000
    return kind == "i" and type(value) is int and -(2**63) <= value <= INT_MAX


def entry_in(text):
    """Return what an entry says, as a list."""
    said = parsed(text)
    need(type(said) is list and len(said) == 18 and said[0] == ENTRY, "no entry")
    need(type(said[9]) is str and said[9] in KINDS, "an entry of a kind that is not known")
    kinds = HEAD.split() + ["s"] + KINDS[said[9]].split()
    need(all(map(is_a, kinds, said[1:])), "an entry with a value of another type")
    need(said[14] in {None, "delivered", "skipped", "suppressed"}, "an outcome that there is not")
    sound = all(len(n) <= 512 and n == n.strip() and "\0" not in n for n in said[1:4])
    need(sound and all(said[1:3]), "a cursor without a name")
    return said


def follow(cursor, previous, digest, said):
    """Return where a cursor is after its next entry; None is where it has none yet."""
    version, epoch, at, delivery, last, recorded = cursor or (0, 0, 0, "", ZEROS, said[6])
    kind, to = said[9].split(".")[1], said[11]
    need(previous == last, "it does not follow the entry before it of its cursor")
    need(said[6] >= recorded, "it was recorded before the entry that it follows")
    need(said[4:6] == [version + 1, epoch + (kind == "reset")], "a version or an epoch is left out")
    if kind == "error":
        to, said = at, said[:12] + [delivery] + said[13:]
    elif kind == "started":
        need(not cursor, "it starts a cursor that is there")
    else:
        need(said[10] == at, "it starts where the cursor was not")
    if kind in {"started", "reset"}:
        need(said[15] and said[7], "a start or a reset without a reason, or an actor")
    if kind == "advanced" and cursor:
        need(to > at or (to == at and said[12] == delivery), "it moves back without a reset")
    return said[4], said[5], to, said[12], digest, said[6]


# --- files ---

LINE = re.compile(
    rb'(?s)\{"index":(0|[1-9]\d{0,18}),(?:"position":([1-9]\d{0,18}),|"path":(\[[^]]*\]),)?'
    rb'"previous":"([0-9a-f]{64})","entry":(\[.*\])\}\n'
)


def bundle(lines, keys, origins, since, show):
    said = parsed(next(lines, b"")[:-1])
    need(type(said) is dict and said.get("format") == BUNDLE, "no bundle of evidence")
    names = ["format", "kind", "note"] + ["since", "growth"] * (len(said) > 3)
    need(list(said) == names, "a first line with other names")
    kind = said["kind"]
    need(kind == "selected" or (kind == "complete" and len(said) == 3), "a kind that there is not")
    need(isinstance(said["note"], str) and isinstance(said.get("since", ""), str), "no note")
    origin, size, root = head = opened(said["note"], keys, origins)
    shown = [head] + [opened(said[name], keys, [origin]) for name in names[3:4]]
    if len(said) > 3:
        check_growth(hashes(said["growth"]), shown[1], head)
    before = since and opened(since, keys, [origin])
    if before and kind == "selected":
        need(before in shown or not before[1], "it does not begin with the older checkpoint")
    need(not before or before[1] <= size, "the older checkpoint is newer")
    cursors, peaks, count, last, at = {}, [], 0, -1, 0
    for line in lines:
        if before and count == before[1] and kind == "complete":
            need(root_over(peaks) == before[2], "it does not begin with the older checkpoint")
        if line.startswith(b'{"end":'):
            need(line == b'{"end":%d}\n' % count, "it does not count its entries")
            break
        found = LINE.fullmatch(line)
        need(found and (found[3] is None) == (kind == "complete"), "no entry of such a bundle")
        index, previous, said = int(found[1]), bytes.fromhex(found[4].decode()), entry_in(found[5])
        digest, name = sha(previous + found[5]), tuple(said[1:4])
        need(last < index < size, "an entry that is not in order, or not under the note")
        if kind == "complete":
            need(index == count, "an entry is left out")
            before_it, at = at, int(found[2] or at + 1)  # an archive says where some are left out
            need(before_it + bool(found[2]) < at <= INT_MAX, "a position that does not follow")
            cursors[name] = follow(cursors.get(name), previous, digest, said)
            add_leaf(peaks, count, digest)
        else:
            own_root = root_by(hashes(parsed(found[3])), index, size, sha(b"\0" + digest))
            need(own_root == root, "an entry that is not under the note")
            version, own, recorded = cursors.get(name, (0, ZEROS, said[6]))
            need(said[4] > version and said[6] >= recorded, "an entry before one that it follows")
            need(said[4] > version + 1 or previous == own, "it does not follow the entry before it")
            cursors[name] = said[4], digest, said[6]
        count, last = count + 1, index
        show(said)
    else:
        raise Unproven("the last line is missing: it was cut off")
    need(next(lines, None) is None, "something stands behind the last line")
    if kind == "complete":
        need((count, root_over(peaks)) == (size, root), "not all entries under the note")
        return "complete: all %d entries of %s; nothing is left out" % (size, origin)
    listed = "selected: %d of the %d entries of %s; left-out entries are not excluded"
    return listed % (count, size, origin)


def proof(text, keys, origins, since, show):
    """Return what a proof of an entry, or of growth, proves."""
    need(len(text) <= 2 * NOTE_MAX and b"\r" not in text, "a proof that is too long, or has \\r")
    head, gap, note = text.decode().partition("\n\n")
    need(gap, "no proof, because it has no note")
    origin, size, root = now = opened(note, keys, origins)
    first, *rest = head.split("\n")
    if first.startswith("old "):
        need(since, "a proof of growth needs --checkpoint OLD")
        before = opened(since, keys, [origin])
        need(number(first[4:]) == before[1], "it begins at another checkpoint")
        check_growth(hashes(rest), before, now)
        return "%d entries of %s begin with the %d of the older one" % (size, origin, before[1])
    starts = [line.split(" ")[0] for line in rest[:2]]
    need(first == PROOF and starts == ["extra", "index"], "no proof of an entry")
    extra, index = decoded(rest[0][6:]), number(rest[1][6:])
    own_root = root_by(hashes(rest[2:]), index, size, sha(b"\0" + sha(extra)))
    need(own_root == root, "its entry is not under the note")
    show(entry_in(extra[32:]))
    return "entry %d of the %d of %s" % (index + 1, size, origin)


def lines_of(file, at):
    for line in iter(lambda: file.readline(LINE_MAX + 1), b""):
        at[0] += 1
        need(len(line) <= LINE_MAX and line.endswith(b"\n"), "a line too long, or cut off")
        yield line


def read(place):
    with open(place, encoding="utf-8", newline="") as file:
        return file.read(NOTE_MAX + 1)


def key_given(text):
    try:
        return key_of(text)
    except Unproven:
        return key_of(read(text) if os.path.isfile(text) else text)


def run(given, at, show):
    """Return what the file proves; show is called with each entry before all is proved."""
    origins = [given.origin] if given.origin else [key[0] for key in given.vkey]
    since = given.since and read(given.since)
    with open(given.file, "rb") as file:
        if file.peek(1)[:1] == b"{":
            return bundle(lines_of(file, at), given.vkey, origins, since, show)
        return proof(file.read(2 * NOTE_MAX + 1), given.vkey, origins, since, show)


def main():
    parser = argparse.ArgumentParser(description="Verify evidence of a cursor ledger.")
    parser.add_argument("file")
    parser.add_argument("--vkey", action="append", required=True, type=key_given)
    parser.add_argument("--origin")
    parser.add_argument("--checkpoint", "--since", dest="since")
    parser.add_argument("--entries", action="store_true")
    given, at = parser.parse_args(), [0]
    try:
        proved = run(given, at, id)
        if given.entries:
            proved = run(given, [0], lambda said: print(json.dumps(said)))
        print("proved: " + json.dumps(proved)[1:-1])
    except (Unproven, UnicodeDecodeError) as error:
        where = "not proved: line %d: " % at[0] if at[0] else "not proved: "
        print(where + json.dumps(str(error))[1:-1], file=sys.stderr)
        sys.exit(5)
    except OSError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
