"""Deliver a real stream, the commits of a git repository, and show what the ledger knows of it."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import ledger
from ledger import CursorKey, Ledger

TOP = Path(__file__).resolve().parents[1]
COMMITS_MAX = 300
COMMAND = Path(sys.executable).with_name("cursor-ledger")

STEADY = "search-index"
SHAKY = "mailer"


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("repository", nargs="?", type=Path, default=TOP, help="a git repository")
    parser.add_argument("--db", type=Path, default=TOP / "demo.db", help="where the ledger goes")
    parser.add_argument("--consume", metavar="CONSUMER", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.consume:
        return consume(options.consume, options.repository, options.db)
    try:
        commits = read_commits(options.repository)
    except (subprocess.CalledProcessError, FileNotFoundError):
        print(f"{options.repository} is no git repository; name one: scripts/demo PATH")
        return 1
    if not commits:
        print(f"{options.repository} has no commits yet; name another repository.")
        return 1
    if options.db == TOP / "demo.db":
        # What an earlier run has left; nothing that anybody named is ever removed.
        for end in ("", "-wal", "-shm"):
            Path(f"{options.db}{end}").unlink(missing_ok=True)
    elif options.db.exists():
        print(f"{options.db} exists; the demo only writes to a new file.")
        return 1
    return deliver(options.repository.resolve(), options.db, commits)


def deliver(repository: Path, db: Path, commits: list[str]) -> int:
    stream, last = repository.name, len(commits)
    say(
        f"The stream: {last} commits of {stream}, oldest first.",
        f"Two consumers follow it, each with its own cursor: {STEADY} and {SHAKY}.",
    )

    step(1, f"{STEADY} delivers all of it.")
    run_consumer(STEADY, repository, db)

    half = max(1, last // 2)
    step(2, f"{SHAKY} fails now and then, and is killed (SIGKILL) after {half} of {last}.")
    run_consumer(SHAKY, repository, db, kill_at=half)
    show(db, "show", SHAKY, stream)
    say("What was acknowledged is there. Where it stood when it was killed, nobody has to guess.")

    step(3, f"{SHAKY} starts again. It resumes where its cursor stands.")
    run_consumer(SHAKY, repository, db)

    step(4, "An old copy of it confirms a place long passed. The ledger refuses (exit code 3).")
    show(db, "advance", SHAKY, stream, "--to", "1", "--delivery-id", "stale", expect=3)

    back = max(0, last - 5)
    step(5, f"An operator rewinds {SHAKY}: first the plan, then the deed, with a reason.")
    reset = ["--to", str(back), "--reason", "mails of the last commits bounced", "--actor", "ines"]
    zombie = read_epoch(db, stream)
    show(db, "reset", SHAKY, stream, *reset)
    show(db, "reset", SHAKY, stream, *reset, "--execute", "--yes", "--meta", "ticket=OPS-12")

    step(6, f"A {SHAKY} that has not noticed the reset goes on from where it thinks it is.")
    with ledger.open(db, actor="zombie") as book:
        refuse(book, CursorKey(SHAKY, stream), to=last + 1, epoch=zombie)

    step(7, f"{SHAKY} reads its cursor, and delivers again what the reset asks for.")
    run_consumer(SHAKY, repository, db)

    step(8, "Where everybody stands; how one got there; who reset what, and why.")
    show(db, "list")
    show(db, "history", SHAKY, stream, "--newest-first", "--limit", "12")
    show(db, "entries", "--kind", "reset")
    show(db, "verify")

    command, place = shown(COMMAND), shown(db)
    say(
        f"The ledger is yours to explore, in {place}:",
        f"  {command} --db {place} entries --kind error",
        f"  {command} --db {place} entries --covering {last} --consumer {SHAKY}",
        f"  {command} --help",
    )
    return 0


# --- the consumers ---


def consume(name: str, repository: Path, db: Path) -> int:
    """Deliver every commit after the cursor; say each on stdout once it is acknowledged."""
    commits = read_commits(repository)
    key = CursorKey(name, repository.name)
    with ledger.open(db, actor=f"{name}@{os.getpid()}") as book:
        at = position(book, key)
        for sequence in range(at + 1, len(commits) + 1):
            attempt = 0
            while True:
                attempt += 1
                try:
                    with book.delivering(key, to=sequence, delivery_id=commits[sequence - 1][:10]):
                        send(name, sequence, attempt)
                except ConnectionError:
                    continue
                break
            print(sequence, flush=True)
    return 0


def send(name: str, sequence: int, attempt: int) -> None:
    time.sleep(0.002)
    if name == SHAKY and sequence % 7 == 2 and attempt == 1:
        raise ConnectionError("421 try later (smtp://mailer:hunter2@mx.example:25)")


def position(book: Ledger, key: CursorKey) -> int:
    try:
        return book.get(key).last_sequence
    except ledger.CursorNotFoundError:
        return 0


def run_consumer(name: str, repository: Path, db: Path, *, kill_at: int | None = None) -> None:
    command = [sys.executable, __file__, str(repository), "--db", str(db), "--consume", name]
    acknowledged: list[int] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            acknowledged.append(int(line))
            if kill_at is not None and len(acknowledged) == kill_at:
                process.send_signal(signal.SIGKILL)
    if process.returncode not in ((0,) if kill_at is None else (0, -signal.SIGKILL)):
        sys.exit(f"{name} ended with {process.returncode}")
    if acknowledged:
        with ledger.open(db) as book:
            stands = position(book, CursorKey(name, repository.name))
        if stands < acknowledged[-1]:
            sys.exit(f"{acknowledged[-1]} was acknowledged, but the cursor is at {stands}")
    else:
        print(f"   {name}: nothing to do")
        return
    died = f", then died of signal {-process.returncode}" if process.returncode < 0 else ""
    print(f"   {name}: {acknowledged[0]} to {acknowledged[-1]} acknowledged{died}")


def read_epoch(db: Path, stream: str) -> int:
    """Return the epoch that a consumer read before the reset."""
    with ledger.open(db) as book:
        return book.get(CursorKey(SHAKY, stream)).epoch


def refuse(book: Ledger, key: CursorKey, *, to: int, epoch: int) -> None:
    try:
        book.advance(key, to=to, epoch=epoch)
    except ledger.StaleEpochError as error:
        print(f"   StaleEpochError: {error}")
    else:
        sys.exit("the ledger accepted an advance of an epoch that is over")


# --- the telling ---


def read_commits(repository: Path) -> list[str]:
    log = ["git", "-C", str(repository), "rev-list", "--reverse", "--topo-order"]
    found = subprocess.run(
        [*log, f"--max-count={COMMITS_MAX}", "HEAD"], capture_output=True, text=True, check=True
    )
    return found.stdout.split()


def step(number: int, text: str) -> None:
    print(f"\n{number}. {text}", flush=True)


def say(*lines: str) -> None:
    print("\n" + "\n".join(lines), flush=True)


def show(db: Path, *arguments: str, expect: int = 0) -> None:
    """Run cursor-ledger as a reader would, and show the command with what it prints."""
    print(f"\n   $ cursor-ledger {shlex.join(arguments)}", flush=True)
    done = subprocess.run(
        [COMMAND, "--db", db, *arguments, "--table"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    for line in done.stdout.splitlines():
        print(f"   {line}".rstrip())
    if done.returncode != expect:
        sys.exit(f"cursor-ledger ended with {done.returncode}, not {expect}")


def shown(path: Path) -> str:
    """Return a path as short as it can be typed from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


if __name__ == "__main__":
    sys.exit(main())
