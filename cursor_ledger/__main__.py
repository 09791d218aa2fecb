"""`python -m cursor_ledger` runs the command `cursor-ledger`."""

from __future__ import annotations

from cursor_ledger import main

main()
