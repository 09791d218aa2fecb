"""A plan in a file is what was planned: once it is changed, it is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ledger import InvalidCursorError
from ledger.log.text import dumps
from projections import ResetPlan
from projections.resets import plan_files
from support.commands import Run, records
from support.plan_files import EXPORT, sealed

Edit = Callable[[list[bytes]], list[bytes]]


def replaced(old: bytes, new: bytes, *, line: int = 1) -> Edit:
    def edit(lines: list[bytes]) -> list[bytes]:
        assert old in lines[line]
        return [*lines[:line], lines[line].replace(old, new, 1), *lines[line + 1 :]]

    return edit


def said(name: str, value: object, *, line: int = 0) -> Edit:
    """Return an edit that sets a field of a line to `value`, written as the plan would write it."""

    def edit(lines: list[bytes]) -> list[bytes]:
        plain = json.loads(lines[line])
        assert name in plain
        assert plain[name] != value
        changed = dumps({**plain, name: value}).encode() + b"\n"
        return [*lines[:line], changed, *lines[line + 1 :]]

    return edit


def pretty(lines: list[bytes]) -> list[bytes]:
    return [json.dumps(json.loads(line)).encode() + b"\n" for line in lines]


EDITS: dict[str, Edit] = {
    "another sequence": replaced(b'"sequence":5', b'"sequence":6'),
    "another version": replaced(b'"version":1', b'"version":2'),
    "another place before": replaced(b'"previous_sequence":7', b'"previous_sequence":8'),
    "another reason": replaced(b"lost", b"lots", line=2),
    "another cursor": replaced(b"mailer", b"nailer"),
    "other metadata": replaced(b"OPS-1", b"OPS-2", line=3),
    "another delivery": replaced(b'"delivery_id":""', b'"delivery_id":"m-1"'),
    "another head": said("head", "00" * 32, line=2),
    "no head": said("head", None, line=2),
    "another effect, which is only shown": said("delivered_again", None, line=1),
    "another planner": said("planned_by", "omar"),
    "another time": said("planned_at", "2026-05-05T16:00:00Z"),
    "no ledger": said("ledger", None),
    "another ledger": said("ledger", {"id": "", "position": 2, "digest": "00" * 32}),
    "another count": said("resets", 2),
    "the digest of something else": said("digest", "00" * 32),
    "no digest": said("digest", None),
    "a line less": lambda lines: [*lines[:2], *lines[3:]],
    "a line less, and a count less": lambda lines: said("resets", 2)(lines)[:-1],
    "no resets": lambda lines: lines[:1],
    "a line twice": lambda lines: [*lines, lines[-1]],
    "in another order": lambda lines: [lines[0], lines[2], lines[1], lines[3]],
    "a blank line": lambda lines: [*lines[:2], b"\n", *lines[2:]],
    "a blank line at the end": lambda lines: [*lines, b"\n"],
    "a comment": lambda lines: [*lines, b"# looks good to me\n"],
    "white space": lambda lines: [lines[0], b" " + lines[1], *lines[2:]],
    "formatted": pretty,
    "the line ends of Windows": lambda lines: [line.replace(b"\n", b"\r\n") for line in lines],
    "two plans in one file": lambda lines: lines * 2,
    "cut in the middle": lambda lines: [*lines[:-1], lines[-1][:-9]],
    "cut in the header": lambda lines: [lines[0][:40]],
    "cut before its last character": lambda lines: [*lines[:-1], lines[-1][:-2]],
    "no header": lambda lines: lines[1:],
    "empty": lambda _: [],
    "a mark of its encoding": lambda lines: [b"\xef\xbb\xbf" + lines[0], *lines[1:]],
    "another encoding": lambda lines: [line.decode().encode("utf-16") for line in lines],
    "a name twice in an object": replaced(b'"sequence":5', b'"sequence":6,"sequence":5'),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_a_plan_that_was_changed_is_refused(three: Run, plan: Path, edit: Edit) -> None:
    before = plan.read_bytes()
    plan.write_bytes(b"".join(edit(before.splitlines(keepends=True))))
    assert plan.read_bytes() != before
    for extra in ([], ["--execute"]):
        refused = three("reset", "--from-file", plan, *extra)
        assert refused.exit_code == 2
        assert "Plan the reset again with --export" in refused.stderr
        assert refused.stdout == ""
    assert records(three("resets")) == []
    plan.write_bytes(before)
    assert three("reset", "--from-file", plan, "--execute").exit_code == 0


def test_every_bit_of_a_plan_is_under_its_seal(three: Run, plan: Path) -> None:
    assert three("list").exit_code == 0
    whole = plan.read_bytes()
    for place in range(0, len(whole) - 1, 7):
        changed = bytearray(whole)
        changed[place] ^= 1
        plan.write_bytes(changed)
        with pytest.raises(InvalidCursorError):
            ResetPlan.load(plan)


def test_a_plan_of_an_older_version_or_one_that_was_printed_has_no_seal(
    three: Run, path: Path
) -> None:
    old = path.with_name("old.jsonl")
    old.write_text(three(*EXPORT).stdout)
    refused = three("reset", "--from-file", old, "--execute")
    assert refused.exit_code == 2
    assert "the plan has no seal" in refused.stderr


def test_a_plan_of_a_newer_version_is_not_guessed_at(three: Run, plan: Path) -> None:
    plan.write_text(plan.read_text().replace("cursor-ledger-plan/1", "cursor-ledger-plan/4"))
    refused = three("reset", "--from-file", plan)
    assert refused.exit_code == 2
    assert "of the format 'cursor-ledger-plan/4'; this version reads cursor" in refused.stderr


def test_a_seal_is_no_signature_but_the_log_keeps_what_was_applied(three: Run, plan: Path) -> None:
    header, first, *_ = plan.read_text().splitlines()
    shown = json.loads(header)["digest"]
    forged = sealed(header, {**json.loads(first), "sequence": 0})
    plan.write_text("".join(f"{line}\n" for line in forged))
    assert three("reset", "--from-file", plan, "--execute").exit_code == 0
    [entry] = records(three("resets"))
    assert entry["metadata"]["plan"] != shown


@pytest.mark.parametrize(
    "option",
    [
        ["--to", "1"],
        ["--by", "1"],
        ["--to-time", "8h"],
        ["--to-entry", "1"],
        ["--to-cursor", "a/b"],
        ["--undo"],
        ["--all"],
        ["--new"],
        ["--consumer", "webhooks"],
        ["--stream", "orders"],
        ["--subject", "eu"],
        ["--reason", "x"],
        ["--delivery-id", "m-1"],
        ["--delivered-at", "8h"],
        ["--now", "8h"],
        ["--expect-version", "1"],
        ["--export", "other.jsonl"],
        ["webhooks", "orders"],
    ],
    ids=" ".join,
)
def test_what_a_plan_has_in_it_is_not_given_again(
    three: Run, plan: Path, option: list[str]
) -> None:
    for extra in ([], ["--execute"]):
        refused = three("reset", "--from-file", plan, *option, *extra)
        assert refused.exit_code == 2
        named = option[0] if option[0].startswith("-") else "CONSUMER"
        assert "The plan of --from-file says" in refused.stderr
        assert named in refused.stderr
    assert records(three("resets")) == []


def test_what_the_lines_say_is_what_their_digest_is_of() -> None:
    lines = plan_files.seal({"planned_by": "ines"}, [{"sequence": 1}, {"sequence": 2}])
    header, plain, digest = plan_files.unseal(lines)
    assert (header, plain) == ({"planned_by": "ines"}, [{"sequence": 1}, {"sequence": 2}])
    assert digest in lines[0]
    for surrogate in ('{"key": "\ud800"}', '{"format": "cursor-ledger-plan/1", "a": "\\ud800"}'):
        with pytest.raises(InvalidCursorError):
            plan_files.unseal([surrogate])


@pytest.mark.parametrize("value", ["NaN", "-Infinity", "1e999", "[" * 970 + "]" * 970])
def test_a_value_that_no_header_has_is_refused_and_is_no_crash(value: str) -> None:
    [header, *_] = plan_files.seal({"planned_by": "ines"}, [])
    with pytest.raises(InvalidCursorError):
        plan_files.unseal([header.replace('"ines"', value)])


def test_a_line_without_an_end_is_never_held_whole() -> None:
    with pytest.raises(InvalidCursorError, match="more than 67,108,864 bytes"):
        ResetPlan.load("/dev/zero")
