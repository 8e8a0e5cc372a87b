"""Names of variables that look as if they held a secret."""

from __future__ import annotations

import pytest

from ledger.secret_names import looks_secret


@pytest.mark.parametrize(
    "name",
    [
        "E2B_API_KEY",
        "APIKEY",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "GITHUB_TOKEN",
        "github_token",
        "TOKENS",
        "DB_PASSWORD",
        "PGPASSWD",
        "MYSQL_PWD",
        "PASSPHRASE",
        "SESSION_COOKIE",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "BASIC_AUTH",
        "GH_PAT",
        "PRIVATE_KEY_PEM",
        "SIGNING_CERT",
        "PGPASSWORD",
        "MYSECRET",
        "NPM_AUTHTOKEN",
        "SECRETKEY",
    ],
)
def test_a_secret_by_its_name(name: str) -> None:
    """What people call their secrets is recognised, in any case and in compounds."""
    assert looks_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        "PATH",
        "HOME",
        "LANG",
        "PWD",
        "OLDPWD",
        "KEYBOARD",
        "MONKEY",
        "AUTHOR",
        "GIT_AUTHOR_NAME",
        "PATTERN",
        "COMPAT",
        "TOKENIZER",
        "GESTA_RUN",
        "TRACEPARENT",
        "PYTHONPATH",
    ],
)
def test_an_ordinary_name_is_no_secret(name: str) -> None:
    """Ordinary variables are recorded with their values."""
    assert not looks_secret(name)
