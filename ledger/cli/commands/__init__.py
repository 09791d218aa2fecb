"""The commands, a file each, and what several of them share.

`checkpoints` reads those that were kept, `verdicts` says what becomes of what is adopted, and
`offsets` writes places as another system does. All others are commands.
"""
