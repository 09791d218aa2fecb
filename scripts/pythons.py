"""Run nox, and close with one line for each Python: passed, failed, or not run."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
WORDS = {"success": "passed", "skipped": "NOT RUN: this machine has no such Python"}


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        nox = [sys.executable, "-m", "nox", "-f", "scripts/noxfile.py", f"--report={report}"]
        code = subprocess.run(
            [*nox, f"--envdir={TOP}/.nox", "--", *sys.argv[1:]], cwd=TOP, check=False
        ).returncode
        if not report.exists():
            return code or 1
        sessions = json.loads(report.read_text("utf-8"))["sessions"]
    print()
    for session in sessions:
        what, _, python = session["signatures"][0].partition("-")
        oldest = " with the oldest versions of what it needs" * (what == "lowest")
        print(f"Python {python}{oldest}: {WORDS.get(session['result'], 'FAILED')}")
    if not any(session["result"] == "success" for session in sessions):
        print("No Python ran the tests.")
        return code or 1
    return code


if __name__ == "__main__":
    sys.exit(main())
