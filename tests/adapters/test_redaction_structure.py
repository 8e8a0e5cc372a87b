"""Secrets that are known by where they stand are taken out; what only stands there is left."""

from __future__ import annotations

import base64
import re

import pytest

from adapters.redaction import RuleRedactor
from tests.adapters.secrets_corpus import DRAWN, in_pieces

WORD = "hunter" + "22"
DIGEST = "0123456789abcdef" * 4

# The rule that finds it, and the line, with § for a short secret or ¶ for a long one.
TAKEN = [
    ("url-password", "git clone https://ann:§@example.org/r.git"),
    ("url-password", "DATABASE_URL=postgres://app:§@db:5432/app?ssl=1"),
    ("url-password", "redis://:§@cache:6379/0"),
    ("authorization", "Authorization: Bearer §"),
    ("authorization", "> proxy-authorization: Basic §\r"),
    ("authorization", "-H 'Authorization: token §'"),
    ("authorization", '"Authorization": "Bearer §",'),
    ("authorization", '{\\"authorization\\": \\"Bot §\\"}'),
    ("key-header", "X-Api-Key: §"),
    ("key-header", "< X-Vault-Token: §\r"),
    ("key-header", 'curl -H "PRIVATE-TOKEN: §" https://example.org'),
    ("cookie", "Cookie: session=§"),
    ("flag", "+ curl -sS -u ann:§ https://example.org/"),
    ("flag", "curl --user=ann:§ -X POST"),
    ("flag", "mysqldump --quick -h db -uroot -p§ app > dump.sql"),
    ("flag", "sshpass -p § ssh host"),
    ("flag", "docker login -u ann -p § registry.example"),
    ("flag", "openssl rsa -in key.pem -passin pass:§"),
    ("assignment", "tool --password § --verbose"),
    ("assignment", "tool --auth-token=§ --verbose"),
    ("assignment", "export DEPLOY_TOKEN=§"),
    ("assignment", "GH_PAT=§"),
    ("assignment", "ENCRYPTION_KEY=§"),
    ("assignment", "aws_secret_access_key = ¶"),
    ("assignment", "password: §"),
    ("assignment", "db:\n  password: §  # of the app"),
    ("assignment", '{"client_secret":"§","n":1}'),
    ("assignment", '{\\"password\\":\\"§\\"}'),
    ("assignment", "'apiKey' => '§',"),
    ("assignment", 'PASSWORD: str = "§"'),
    ("assignment", "GET /cb?state=1&access_token=§&x=2"),
    ("assignment", "<password>§</password>"),
    ("assignment", "password\x1b[0m=\x1b[1m§\x1b[0m"),
    ("assignment", "Server=db;Uid=app;Pwd=§;"),
    ("account-key", "AccountName=a;AccountKey=¶;EndpointSuffix=x"),
    ("npm-config", "//registry.example/:_authToken=§"),
    ("docker-config", '"auth": "§"'),
    ("sql-password", "CREATE USER 'a'@'%' IDENTIFIED BY '§';"),
    ("netrc-password", "machine example.org login ann password §"),
]


LEFT = [
    "password = getpass.getpass()",
    "def login(user: str, password: str) -> Token:",
    "token = tokens[index]",
    "api_key=os.environ['API_KEY']",
    "TOKEN=$DEPLOY_TOKEN",
    'export TOKEN="${{ secrets.DEPLOY_TOKEN }}"',
    "TOKEN=$(cat /run/secrets/token)",
    "--password <password>  the password of the user",
    "usage: tool [--token TOKEN] [--password-file FILE]",
    "Enter password: ",
    "error: invalid token: expected ';'",
    "PASSWORD=********",
    '"password": "",',
    "secret_name: tls-certificate-2024",
    f"cache_key={DIGEST}",
    f"etag: {DIGEST}",
    "PWD=/home/ann/src1",
    "https://example.org:8080/path@2",
    "https://${USER}:${PASSWORD}@example.org/",
    "npm install @scope/package@1.2.3 --token-type 1",
    "Authorization: required",
    "tokenizer = Tokenizer2x9y8z7w()",
    "the secret is 12345678",
    "password_min_length=12",
    "docker run -p 8080:80 image",
    "task-0123456789abcdefghijklmnopqrstuvwxyz",
    "key = sha256sum9f8e7d6c5b4a",
    "CI_JOB_TOKEN=[withheld]",
]


@pytest.mark.parametrize(("rule", "line"), TAKEN, ids=[line for _, line in TAKEN])
def test_what_stands_where_a_secret_stands_is_taken_out(rule: str, line: str) -> None:
    """The secret is replaced by its rule's marker, and nothing around it is touched."""
    printed = line.replace("§", WORD).replace("¶", DRAWN)
    out, counts = in_pieces(RuleRedactor(), [printed.encode()])
    assert {rule: 1} == counts
    assert re.sub("[§¶]", f"[redacted:{rule}]", line) == out.decode()


@pytest.mark.parametrize("line", LEFT)
def test_what_only_speaks_of_secrets_is_left(line: str) -> None:
    """Code, prompts, references and placeholders come out as they went in."""
    assert (line.encode(), {}) == in_pieces(RuleRedactor(), [line.encode()])


@pytest.mark.parametrize(
    "secret", [WORD, "secret", "b c", "$HOME", "\udcff\udcfe", "[redacted:flag]"]
)
@pytest.mark.parametrize(
    "line",
    [
        "tool --password § x",
        "tool -password § x",
        "tool --password=§",
        "tool --authToken § --verbose",
        "docker login -u ann -p § registry.example",
        "/usr/bin/mysql -uroot -p§ db",
        "env A_TOKEN=§ ls",
        "curl -u ann:§ h",
        "curl -uann:§ h",
        "sudo curl --proxy-user=ann:§ h",
        "smbclient -U ann%§ //h/d",
        "aws configure set aws_secret_access_key §",
        "kubectl create secret generic s --from-literal=password=§",
        "sqlcmd -P § -q x",
    ],
)
def test_flags_say_which_words_are_secrets(line: str, secret: str) -> None:
    """Whatever the secret is, its word or the end of its word is taken out, and no other."""
    argv = [word.replace("§", secret) for word in line.split()]
    redacted = tuple(word.replace("§", "[redacted:flag]") for word in line.split())
    assert redacted == RuleRedactor().argv(argv).value
    assert redacted == RuleRedactor().argv(redacted).value


@pytest.mark.parametrize(
    "line",
    [
        "tool --token --verbose x",
        "docker login --password-stdin registry.example",
        "docker run -p 8080:80 image",
        "docker build --secret id=npm,src=.npmrc .",
        "gh repo create --private repository",
        "openssl rsa -key host.pem",
        "mysql -p database",
        "curl --user ann h",
        "git config set user.name Ann",
        "echo password = hunter22",
        "printf %s caf\udce9",
        "",
    ],
)
def test_words_that_are_no_secrets_are_left(line: str) -> None:
    """Flags about secrets, other programs' flags and words of a sentence stay."""
    argv = tuple(line.split())
    assert (argv, {}) == (RuleRedactor().argv(argv).value, RuleRedactor().argv(argv).counts)


def test_a_word_of_argv_is_redacted_as_text_too() -> None:
    """A script, a URL and a header within one word are looked at by the rules for text."""
    argv = ["sh", "-c", f"mysql -p{WORD} db", f"https://a:{WORD}@h/", f"X-Api-Key: {WORD}"]
    redacted = RuleRedactor().argv(argv)
    assert (
        *("sh", "-c", "mysql -p[redacted:flag] db", "https://a:[redacted:url-password]@h/"),
        "X-Api-Key: [redacted:key-header]",
    ) == redacted.value
    assert {"flag": 1, "url-password": 1, "key-header": 1} == redacted.counts


def test_an_environment_keeps_names_and_withholds_values() -> None:
    """Values of secret-looking names are withheld whole; the others are redacted as text."""
    redacted = RuleRedactor().environment(
        {"A_TOKEN": "x", "HOME": "/home/ann", "DATABASE_URL": f"postgres://a:{WORD}@db/"}
    )
    assert {
        "A_TOKEN": "[withheld]",
        "HOME": "/home/ann",
        "DATABASE_URL": "postgres://a:[redacted:url-password]@db/",
    } == redacted.value
    assert {"url-password": 1} == redacted.counts


def test_a_value_longer_than_its_line_is_not_followed() -> None:
    """An assignment ends with its line; what is on the next is looked at for itself."""
    out = RuleRedactor().text(f"TOKEN={WORD}\nnext line\n")
    assert "TOKEN=[redacted:assignment]\nnext line\n" == out.value


def test_a_certificate_is_no_private_key() -> None:
    """Public parts of key pairs stay, in PEM and in base64 of it."""
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    certificate = "\n".join([begin, "MIID" + DRAWN, end])
    data = certificate + "\n" + base64.b64encode(certificate.encode()).decode()
    assert data == RuleRedactor().text(data).value
