"""The law: what a cursor is, what can be asked of it, and what it allows.

Pure: it takes values and returns values, and touches no clock, no disk and no driver.
"""
