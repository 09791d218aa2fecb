"""Views of the log: functions of history, which nothing in the ledger depends on."""
