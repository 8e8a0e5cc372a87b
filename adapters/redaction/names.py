"""Whether the value that a name stands for is a secret: in text, in flags, in settings.

Rule: what secrets are called is said by `ledger.secret_names`; here is what is about a secret and
none itself (`token_type`, `--password-file`). Variables of an environment make no such difference.
"""

from __future__ import annotations

import re

from ledger.secret_names import looks_secret

_CAMEL = r"(?<=[a-z0-9])(?=[A-Z])"
# The last word of names that are about a secret.
_ABOUT = frozenset(
    [
        *("algorithm", "arn", "at", "auth", "class", "count", "dir", "directory", "enabled"),
        *("endpoint", "env", "error", "exists", "expires", "expiry", "field", "file", "filename"),
        *("format", "hash", "header", "hint", "id", "ids", "in", "index", "is", "kind", "label"),
        *("len", "length", "lifetime", "limit", "max", "message", "min", "mode", "name", "names"),
        *("ns", "only", "path", "pattern", "policy", "prefix", "private", "prompt", "provider"),
        *("ref", "regex", "required", "rotation", "scope", "session", "signing", "size"),
        *("source", "status", "stdin", "store", "suffix", "timeout", "ttl", "type", "types"),
        *("uri", "url", "usage", "valid", "var", "variable", "version"),
    ]
)
# In small letters `cache_key` is no secret; with one of these before it, a key is.
_KEYS = frozenset(
    [
        *("access", "account", "api", "auth", "deploy", "encryption", "license", "master"),
        *("private", "secret", "shared", "signing", "webhook"),
    ]
)


def names_secret(name: str, *, certain: bool) -> bool:
    """
    Say whether *name*, in capitals, camel case or with any separator, stands for a secret.

    Where it is not *certain* that it has a value of its own (a flag, a variable in capitals), not
    every key counts. A key by itself is often a file's name, and never counts.
    """
    words = re.sub(r"[-_.]+", " ", re.sub(_CAMEL, " ", name)).lower().split()
    if not words or words[-1] in _ABOUT or not looks_secret("_".join(words)):
        return False
    if words[-1] in {"key", "pat", "pwd"}:
        return len(words) > 1 and (certain or words[-2] in _KEYS)
    return True
