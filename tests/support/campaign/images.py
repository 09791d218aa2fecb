"""What a disk may hold after a power loss, made from what was recorded up to some call.

What was synced is there. Of each write, truncation and change of the folder since then, nothing is
promised: it may be there, or not, whatever became of the others; and of a write, some sectors may
be there and others not. After a sync that failed, what it should have written stays in doubt, even
if a later sync of the same file succeeds (as on Linux, which forgets such pages).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import attrs

from support.campaign.recording import Step, change

__all__ = ["POLICIES", "Disk"]

SECTORS = (512, 4_096)
POLICIES = ("dropped", "kept", "first", "last", "any")


@attrs.define
class Change:
    """A write or a truncation that a power loss may undo, unless a sync made it sure."""

    step: Step
    sure: bool = False
    doubtful: bool = False


@attrs.define(eq=False)
class File:
    """A file, by whatever name: what is sure to be in it, and what was changed since then."""

    durable: bytearray = attrs.field(factory=bytearray)
    changes: list[Change] = attrs.field(factory=list)

    def synced(self) -> None:
        for each in self.changes:
            each.sure = each.sure or not each.doubtful
        while self.changes and self.changes[0].sure:
            change(self.durable, self.changes.pop(0).step)

    def sync_failed(self) -> None:
        for each in self.changes:
            each.doubtful = each.doubtful or not each.sure

    def after_power_loss(self, policy: str, chance: random.Random) -> bytearray:
        content = bytearray(self.durable)
        unsure = [each for each in self.changes if not each.sure]
        torn = chance.randrange(len(unsure) + 1)
        fates = {
            id(each): _fate(policy, n, torn, len(unsure), chance) for n, each in enumerate(unsure)
        }
        for each in self.changes:
            for step in _surviving(each.step, fates.get(id(each), "kept"), chance):
                change(content, step)
        return content


@attrs.define
class Disk:
    """The folder while it is written to, and what a power loss would leave of it."""

    files: dict[str, File] = attrs.field(factory=dict)
    _durable: dict[str, File] = attrs.field(factory=dict)
    _renamed: list[tuple[str, File | None]] = attrs.field(factory=list)

    def do(self, step: Step) -> None:
        """Follow the next call that was recorded."""
        match step.kind:
            case "O":
                self._name(step.name, File())
            case "U":
                self._name(step.name, None)
            case "R":
                self._name(step.data.decode(), self.files[step.name])
                self._name(step.name, None)
            case "W" | "T" if step.name in self.files:
                self.files[step.name].changes.append(Change(step))
            case "S" if step.name in self.files:
                file = self.files[step.name]
                (file.sync_failed if step.failed else file.synced)()
            case "D" if not step.failed:
                self._durable = dict(self.files)
                self._renamed.clear()
            case _:
                pass

    def _name(self, name: str, file: File | None) -> None:
        if file is None:
            del self.files[name]
        else:
            self.files[name] = file
        self._renamed.append((name, file))

    @property
    def unsure(self) -> int:
        """How many changes a power loss might undo now."""
        changes = (each for file in self.files.values() for each in file.changes)
        return len(self._renamed) + sum(not each.sure for each in changes)

    def write(self, folder: Path, policy: str, chance: random.Random) -> None:
        """Write to the empty `folder` what a power loss now may leave."""
        names = dict(self._durable)
        first = chance.randrange(len(self._renamed) + 1)
        for n, (name, file) in enumerate(self._renamed):
            fate = _fate(policy, n, first, len(self._renamed), chance)
            if fate == "dropped":
                continue
            if file is None:
                names.pop(name, None)
            else:
                names[name] = file
        for name, file in names.items():
            (folder / name).write_bytes(file.after_power_loss(policy, chance))


def _fate(policy: str, n: int, torn: int, count: int, chance: random.Random) -> str:
    match policy:
        case "dropped" | "kept":
            return policy
        case "first":  # All up to one, which is torn.
            return "kept" if n < torn else "torn" if n == torn else "dropped"
        case "last":
            return "kept" if n == count - 1 else "dropped"
        case _:
            return chance.choice(("dropped", "kept", "torn", "zeros"))


def _surviving(step: Step, fate: str, chance: random.Random) -> Iterator[Step]:
    """Yield what is left of a write, as writes."""
    if fate == "dropped":
        return
    if fate == "kept" or step.kind == "T":
        yield step
    elif fate == "zeros":  # Its length was noted, and its content was not.
        yield attrs.evolve(step, data=bytes(len(step.data)))
    else:
        sector = chance.choice(SECTORS)
        place = 0
        while place < len(step.data):
            end = min(len(step.data), place + sector - (step.offset + place) % sector)
            if chance.random() < 0.5:
                yield attrs.evolve(step, offset=step.offset + place, data=step.data[place:end])
            place = end
