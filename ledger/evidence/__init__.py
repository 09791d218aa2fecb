"""The proof that a log is whole and unchanged. It needs no store: a verifier reads any `Log`.

Read it in this order. `digests` chain the entries of a cursor; `merkle` covers all entries in order
of position. `source` says what a verifier asks a log for: four methods. `findings` are what it
reports, `faults` is how it collects them. `chains` checks the log cursor by cursor, `order` checks
it position by position, and `verification` is both, held against checkpoints that were kept.
`crew` and `worker` divide the cursors among processes. `repair` makes stored cursors anew.
"""
