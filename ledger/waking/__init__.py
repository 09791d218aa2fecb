"""Waking: who waits for a cursor to move is told, by one thread of the ledger for all who wait.

A call of this process tells it what was appended; what others append it hears over a connection of
its own, which the store opens: see `ledger.stores.Listening`.
"""
