"""What is typed: the ledger, cursors, times, positions, and the options that choose among them.

`target` is the ledger that is meant, `keys` the cursor, `sources` what a source calls a sequence,
`times` and `typed_times` a moment, `notes` a signed note or a key. `options` and `filters` are the
options of several commands. `names` and `near` find what a mistyped word may have meant, and
`completion` what a shell may complete.
"""
