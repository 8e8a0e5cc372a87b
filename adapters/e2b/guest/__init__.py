"""The guest: the program of ours that works inside an E2B sandbox, beside the commands.

Rule 1: it needs python3 (3.10 or newer) and its standard library, nothing else of the template.
Rule 2: it speaks ASCII lines, because the provider's SDK decodes what a process prints as UTF-8
and would lose other bytes.
Rule 3: what it sent is kept until we said that we have it: a connection that drops loses nothing.
Rule 4: if we fall silent, it ends the command and all that it started.
"""
