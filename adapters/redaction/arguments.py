"""The words of a command that are secrets because of the flag before them. After the shell: words.

Rule 1: words are looked at as the program will see them; nothing is joined or split.
Rule 2: short flags mean something else in every program, so they count after that program's name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from adapters.redaction.judgement import MARKER
from adapters.redaction.names import names_secret

# Program: short flags whose value is a password, and those whose value is `user:password`.
_PASSWORD_FLAGS = {
    **dict.fromkeys(("mysql", "mysqldump", "mysqladmin", "mysqlimport", "mariadb"), "-p"),
    **dict.fromkeys(("mongo", "mongosh", "mongodump", "mongorestore", "sshpass"), "-p"),
    **dict.fromkeys(("ldapsearch", "ldapadd", "ldapmodify", "ldapdelete", "ldapwhoami"), "-w"),
    **dict.fromkeys(("login", "zip", "7z"), "-p"),
    "redis-cli": "-a",
    "sqlcmd": "-P",
    "unzip": "-P",
}
_USER_FLAGS = {
    "curl": ("-u", "-U", "--user", "--proxy-user"),
    "smbclient": ("-U", "--user"),
    "http": ("-a", "--auth"),
    "https": ("-a", "--auth"),
}
# `mysql -p name` asks for the password; `name` is the database.
_ATTACHED_ONLY = frozenset(("mysql", "mysqldump", "mysqladmin", "mysqlimport", "mariadb", "7z"))
_MARKER = MARKER.decode()
# `--secret id=npm,src=FILE` says where a secret is.
_MOUNTED = "(?:id|type|src)="
_FLAG = r"(?s)(--?[A-Za-z][\w.-]*)(?:=(.*))?"
_PAIR = r"(?s)(?:--?[A-Za-z][\w-]*=)?([\w.-]+)=(.+)"

Part = tuple[int, int, int]


def secret_parts(argv: Sequence[str]) -> Iterator[Part]:
    """Yield which word holds a secret, and from which character to which."""
    program, takes = "", ""
    for index, word in enumerate(argv):
        taken, takes = takes, ""
        start: int | None = None
        if taken == "setting":
            takes = "password" if names_secret(word, certain=True) else ""
        elif taken and not re.fullmatch(_FLAG, word) and not re.match(_MOUNTED, word):
            start = _behind_user(word, 0) if taken == "user" else 0
        else:
            name = word.rpartition("/")[2]
            if name in _PASSWORD_FLAGS or name in _USER_FLAGS:
                program = name
            start, takes = _flag(program, word)
            if word == "set":
                # `set NAME VALUE`, as `aws configure` and `npm config` have it.
                takes = "setting"
        if start is not None and start < len(word) and not re.fullmatch(_MARKER, word[start:]):
            yield index, start, len(word)


def _flag(program: str, word: str) -> tuple[int | None, str]:
    """Return where the secret in *word* begins, and what kind of secret the next word is."""
    if word[:1] != "-" and "=" not in word:
        return None, ""
    for flag in _USER_FLAGS.get(program, ()):
        if word == flag:
            return None, "user"
        joint = flag + "=" if flag.startswith("--") else flag
        if word.startswith(joint):
            return _behind_user(word, len(joint)), ""
    flag = _PASSWORD_FLAGS.get(program, "-")
    if word == flag:
        return None, "" if program in _ATTACHED_ONLY else "password"
    if flag != "-" and word.startswith(flag):
        return len(flag), ""
    match = re.fullmatch(_FLAG, word)
    if match is not None and match[2] is None:
        return None, "password" if names_secret(match[1], certain=True) else ""
    pair = re.fullmatch(_PAIR, word)
    if pair is not None and names_secret(pair[1], certain=True):
        return pair.start(2), ""
    return None, ""


def _behind_user(word: str, start: int) -> int | None:
    """Return where the password begins in `user:password`, or `user%password`."""
    match = re.search("[:%]", word[start:])
    return start + match.end() if match else None
