"""Which environment variables look as if they held a secret: their values are never recorded."""

from __future__ import annotations

import re

WITHHELD = "[withheld]"

# Short words count when they stand alone; long ones also at the end of another (`PGPASSWORD`).
_SECRET = re.compile(
    r"(?:(?:^|_)(?:auth|cookie|key|pat|private|pwd|session|signing)"
    r"|(?:access|api|secret)_?key|credential|passphrase|passwd|password|secret|token)(?:_|$|s$|s_)",
    re.IGNORECASE,
)


def looks_secret(name: str) -> bool:
    """Say whether the variable *name* is one whose value is kept off the record."""
    return _SECRET.search(name) is not None and name not in {"PWD", "OLDPWD"}
