"""Refuse a commit whose subject is too long to be read in a list of commits; a hook calls this.

Usage: python scripts/commit_subject.py FILE, where FILE holds the commit message.
"""

from __future__ import annotations

import sys
from pathlib import Path

LENGTH_MAX = 71


def main() -> int:
    message = Path(sys.argv[1]).read_text("utf-8")
    lines = [line for line in message.splitlines() if not line.startswith("#")]
    subject = next((line.strip() for line in lines if line.strip()), "")
    if not subject:
        return 0  # git itself refuses an empty message
    problems = []
    if len(subject) > LENGTH_MAX:
        problems.append(f"it has {len(subject)} characters; at most {LENGTH_MAX} are shown in full")
    rest = lines[lines.index(subject) + 1 :] if subject in lines else []
    if rest and rest[0].strip():
        problems.append("the line after it is not empty, so that git takes both as the subject")
    for problem in problems:
        print(f"The subject of the commit: {problem}.", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
