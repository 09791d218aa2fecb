"""What a workload did to its files, call by call: it runs under recorder.c, and is read from here.

A stage is one Python process under the recorder. It forks a child for each workload, which costs
some 10 ms, where a new interpreter with the ledger in it costs 200.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

__all__ = ["Recording", "Stage", "Step", "fast_folder", "impossible", "staged"]

HERE = Path(__file__).parent
HEADER = struct.Struct("=4scBHIq")  # As in recorder.c.
MEMORY_FOLDER = Path("/dev/shm")
MAGIC = b"\xfeREC"


@attrs.frozen
class Step:
    """One call: a file made (O), written (W), cut to `offset` (T), removed (U) or renamed (R).

    S is its sync, D that of the folder; M is a mark of the workload, and X a fault that struck.
    """

    kind: str
    failed: bool
    name: str
    offset: int
    data: bytes


@attrs.frozen
class Recording:
    """All that one workload did, in order; and how its process ended, below 0 by a signal."""

    folder: Path
    steps: list[Step]
    status: int

    @property
    def database(self) -> Path:
        return self.folder / "cursors.db"

    @property
    def struck(self) -> bool:
        """Whether a call was made to fail."""
        return any(step.kind == "X" for step in self.steps)

    def marks(self, until: int | None = None) -> Iterator[str]:
        for step in self.steps[:until]:
            if step.kind == "M":
                yield step.data.decode()

    def differences(self) -> list[str]:
        """Return the files that differ from what the recorded calls make of them."""
        files: dict[str, bytearray] = {}
        for step in self.steps:
            match step.kind:
                case "O":
                    files[step.name] = bytearray()
                case "W" | "T" if step.name in files:
                    change(files[step.name], step)
                case "U":
                    files.pop(step.name, None)
                case "R":
                    files[step.data.decode()] = files.pop(step.name)
                case _:
                    pass
        there = {p.name: p.read_bytes() for p in self.folder.iterdir()}
        names = files.keys() | {name for name in there if not name.endswith("-shm")}
        return [name for name in sorted(names) if files.get(name) != there.get(name)]


def change(content: bytearray, step: Step) -> None:
    """Do to `content` what a write or a truncation does."""
    if step.kind == "T":
        if step.offset < len(content):
            del content[step.offset :]
        content.extend(bytes(step.offset - len(content)))
        return
    end = step.offset + len(step.data)
    content.extend(bytes(max(0, end - len(content))))
    content[step.offset : end] = step.data


def impossible() -> str:
    """Return why nothing can be recorded here; "" if something can."""
    if not sys.platform.startswith("linux"):
        return "system calls are recorded by a preloaded library of Linux"
    if shutil.which("cc") is None:
        return "there is no C compiler to make the recorder with"
    return ""


class Stage:
    """The process that runs workloads under the recorder, one after the other."""

    def __init__(self, folder: Path) -> None:
        library = folder / "recorder.so"
        subprocess.run(
            [
                "cc",
                "-shared",
                "-fPIC",
                "-O1",
                "-o",
                library,
                HERE / "recorder.c",
                "-ldl",
                "-lpthread",
            ],
            check=True,
        )
        self._folder = folder
        self._count = 0
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.campaign.stage"],
            cwd=HERE.parent.parent,
            env={**os.environ, "LD_PRELOAD": str(library)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def record(
        self,
        workload: str,
        folder: Path | None = None,
        *,
        only_marks: bool = False,
        **options: Any,
    ) -> Recording:
        """Run a workload to its end in a folder of its own, or in `folder`.

        With `only_marks`, its calls are left alone, and its threads get in each other's way.
        """
        self._count += 1
        if folder is None:
            folder = self._folder / f"{self._count}"
        folder.mkdir(exist_ok=True)
        log = self._folder / f"{self._count}.log"
        order: Mapping[str, Any] = {
            "workload": workload,
            "folder": str(folder),
            "log": str(log),
            "recorded": "" if only_marks else str(folder),
            "options": options,
        }
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        try:
            return Recording(folder, list(_read(log)), status)
        finally:
            log.unlink(missing_ok=True)

    def forget(self, recording: Recording) -> None:
        """Remove the files of a recording."""
        recording.folder.chmod(0o700)
        shutil.rmtree(recording.folder)

    def close(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()


@contextmanager
def staged() -> Iterator[Stage]:
    """Yield a stage, and leave nothing of it."""
    with tempfile.TemporaryDirectory(prefix="campaign-", dir=fast_folder()) as folder:
        stage = Stage(Path(folder).resolve())
        try:
            yield stage
        finally:
            stage.close()


def fast_folder() -> Path | None:
    """Return a folder in memory, if there is one with room: what is rebuilt needs no disk."""
    if not MEMORY_FOLDER.is_dir() or not os.access(MEMORY_FOLDER, os.W_OK):
        return None
    return MEMORY_FOLDER if shutil.disk_usage(MEMORY_FOLDER).free > 1 << 28 else None


def _read(log: Path) -> Iterator[Step]:
    if not log.exists():
        return
    data = log.read_bytes()
    place = 0
    while place + HEADER.size <= len(data):
        _, kind, failed, name_length, length, offset = HEADER.unpack_from(data, place)
        name_at = place + HEADER.size
        data_at = name_at + name_length
        place = data_at + length
        if place != len(data) and not data.startswith(MAGIC, place):
            # Its process was killed while it wrote this, and others went on behind it.
            place = data.find(MAGIC, name_at)
            if place < 0:
                break
            continue
        name = data[name_at:data_at].decode()
        yield Step(kind.decode(), bool(failed), name, offset, data[data_at:place])
