"""What the process of a command has: its streams, signals, exit codes, and the program around it.

`streams` are the standard ones and `encodings` what they can show; `interrupts` and `watched` say
what was appended when a command is interrupted; `exits` are the exit codes, and `hosts` are
programs that have these commands among their own.
"""
