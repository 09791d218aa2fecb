"""The proof that a log is whole and unchanged. It needs no store: a verifier reads any `Log`.

Read it in this order. `digests` chain the entries of a cursor; `merkle` covers all entries in order
of position. `source` says what a verifier asks a log for: four methods, two if the tree is kept
beside the log, which `kept` is about, and eight if parts can be checked alone. `findings` are what
it reports, `faults` is how it collects them. `chains` checks the log cursor by cursor, `order`
position by position, `tree_rows` the tree that is kept, and `verification` is all of it, held
against checkpoints that somebody has. `spans` checks a part of the log, and `since` what is new
since a checkpoint.
`bundles` are many entries as one file, `blocks` has the paths in it, `bundling` makes one of a log,
and `bundled` verifies one; `standalone` verifies one, too, and imports nothing of ours. `archives`
are complete bundles that a disk has given back. `crew` and `worker` divide the cursors among
processes. `repair` makes stored cursors anew.
"""
