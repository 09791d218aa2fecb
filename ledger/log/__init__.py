"""How an entry is written down: as plain values, as a row of a table, as JSON.

What is read is distrusted.
"""
