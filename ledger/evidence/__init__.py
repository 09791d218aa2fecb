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
processes, over a log that is read as of one moment (`sharing`). `repair` makes stored cursors anew.

The rest is what others verify with tools of their own. `keys` sign `notes`, and `key_files` keep
both; `tree_heads` are checkpoints as others write them, and `tiles` are the tree in files. `paths`
prove that an entry is in a tree and that a tree only grew: `proving` makes such `proofs` of a log.
`witnesses` cosign, and `witnessing` is how one works. `plan_texts` are what is signed of a plan of
resets: `ssh_signatures` are made and verified by `ssh_keygen`, for keys of `allowed_signers`.
"""
