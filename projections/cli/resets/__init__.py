"""The commands `reset` and `resets`: what is planned, what is done, and what was done before.

`resetting` is the command that plans resets and makes them. `planning` makes a plan of its
options, whose values are `reset_values` and `destinations`; `showing_plans` shows it, with
`printed_commands` to type next; `signing` has it signed and approved, and `applied` notices one
that was applied before. `auditing` is the command that lists resets: by group (`grouping`), with
their `signatures`, held against policies (`policing`), with their sum (`summing`), or as a report
(`reporting`). `outcomes` words what a reset did, and what became of it.
"""
