"""The supervisor: a small process beside us that starts commands and ends everything they start.

Rule 1: it imports nothing but a few cheap modules of the standard library, and nothing of ours
outside this package; a command pays for its start.
Rule 2: its socket is its lifeline: when the other end is gone, every command is ended, then it.
Rule 3: it has one thread, so that the kernel's parent-death signal means the process.
"""
