"""Secrets known by where they stand: URLs, headers, flags, assignments, key files. Data.

Rule 1: a value that only stands for a secret (`$TOKEN`, `<password>`, `***`) is none.
Rule 2: the less certain the place, the more a value must look like a secret (`judgement`).
"""

from __future__ import annotations

from adapters.redaction.rule import Rule

# Space between a name and its value, and the colours that programs put there.
_GAP = r"(?:[ \t]|\x1b\[[0-9;]*m)*"
# What may stand between a header's name and its value: a colon, also in JSON, also escaped.
_COLON = rf"(?:\\*[\"'])?\]?{_GAP}(?:=>|:=|:|=){_GAP}(?:[bfru]?\\*[\"'])?"

# Names whose values are secrets, in text. (`*_KEY=` and `*_PAT=` count in capitals only.)
_NOUNS = (
    *("password", "passwd", "passphrase", "secret", "token", "credential", "_pwd", "_pat", "_key"),
    *("apikey", "api-key", "accesskey", "access-key", "authkey", "auth-key", "privatekey"),
)
# Name; its closing quote; separator; the value in one of four kinds of quotes, or bare.
_ASSIGNMENT = (
    r"([0-9A-Za-z_.-]{1,64})(\\*[\"']?\]?)"
    rf"({_GAP}(?::[ \t]*[A-Za-z][\w.\[\]| ]{{0,40}}=|=>|:=|=|:){_GAP}|[ \t]+|>)"
    r"[BbFfRrUu]{0,2}(?:\\+[\"']([^\"'\\\r\n]*)|\"((?:[^\"\\\r\n]|\\.)*)|'((?:[^'\\\r\n]|\\.)*)"
    r"|`([^`\r\n]*)|([^\s\"'`=\x1b][^\s\"'`\x1b]*))"
)

_FLAG_VALUE = r"[ \t=]*[\"']?"

STRUCTURE_RULES = (
    Rule(
        "url-password",
        ("://",),
        r"://[^\s/?#@:\"'<>\\]*:([^\s/@\"'<>\\]+)@",
        judge="filled",
    ),
    Rule("url-user", ("://",), r"://([0-9A-Za-z_-]{20,})@", judge="opaque"),
    Rule(
        "url-signature",
        ("sig=", "x-amz-signature="),
        r"(?i)[a-z-]*sig(?:nature)?=([A-Za-z0-9%+/=_-]{30,})",
    ),
    # Headers (RFC 9110 §11.6.2, RFC 6265) and what services use in their place.
    Rule(
        "authorization",
        ("authorization",),
        rf"(?i)authorization{_COLON}(?:basic|bearer|token|bot|negotiate|ntlm|apikey|api-key|jwt"
        r"|sso-key|splunk|key)[ \t+]+([^\s\"'\\,;]{4,})",
        judge="opaque",
    ),
    Rule(
        "authorization",
        ("authorization",),
        rf"(?i)authorization{_COLON}(?:digest|aws4-[a-z0-9-]+|oauth|hawk|sharedkey(?:lite)?|mac)"
        r"[ \t]+([^\r\n]*[=:][^\r\n]*)",
        judge="opaque",
    ),
    Rule(
        "authorization",
        ("authorization",),
        rf"(?i)authorization{_COLON}([^\s\"'\\,;]{{8,}})",
        judge="drawn",
    ),
    Rule(
        "authorization",
        ("bearer ",),
        r"(?i)bearer ([0-9A-Za-z._~+/=-]{16,})",
        edge=True,
        judge="drawn",
    ),
    Rule(
        "key-header",
        (
            *("x-api-key", "x-auth-token", "x-access-token", "x-vault-token", "x-goog-api-key"),
            *("x-gitlab-token", "x-figma-token", "x-amz-security-token", "x-functions-key"),
            *("x-shopify-access-token", "private-token", "job-token", "deploy-token", "dd-api-key"),
            *("ocp-apim-subscription-key", "x-redmine-api-key", "x-jfrog-art-api"),
        ),
        rf"[0-9A-Za-z-]+{_COLON}([^\s\"'\\,;]{{4,}})",
        judge="opaque",
    ),
    Rule("cookie", ("cookie",), rf"(?i)cookie{_COLON}[\w.-]+=([^\r\n\"']{{4,}})", judge="filled"),
    # Command lines as they are printed (`set -x`, documentation, shell history).
    Rule(
        "flag",
        ("curl ",),
        r"curl[ \t](?:[^\r\n|;]*?[ \t])?(?:-u|-U|--user|--proxy-user)"
        rf"{_FLAG_VALUE}[^\s:\"'/]*:([^\s\"']+)",
        judge="filled",
    ),
    Rule(
        "flag",
        ("mysql", "mariadb"),
        r"(?i)(?:mysql|mariadb)[a-z-]*[ \t](?:[^\r\n|;]*?[ \t])?-p[\"']?([^\s\"'-][^\s\"']*)",
        judge="filled",
    ),
    Rule("flag", ("sshpass ",), rf"sshpass[ \t]+-p{_FLAG_VALUE}([^\s\"']+)", judge="filled"),
    Rule(
        "flag",
        ("docker login", "podman login", "registry login", "az login", "oc login"),
        rf"(?i)[a-z]+ login[ \t](?:[^\r\n|;]*?[ \t])?-p{_FLAG_VALUE}([^\s\"'-][^\s\"']*)",
        judge="filled",
    ),
    Rule(
        "flag",
        ("redis-cli ",),
        rf"redis-cli[ \t](?:[^\r\n|;]*?[ \t])?-a{_FLAG_VALUE}([^\s\"'-][^\s\"']*)",
        judge="filled",
    ),
    Rule(
        "flag",
        ("-passin ", "-passout ", "-pass "),
        r"(?i)-pass(?:in|out)? +pass:([^\s\"']+)",
        judge="filled",
    ),
    # Files of programs.
    Rule(
        "account-key",
        ("accountkey=", "sharedaccesskey="),
        r"(?i)[a-z]+key=([A-Za-z0-9%+/]{20,}={0,2})",
    ),
    Rule(
        "npm-config",
        (":_authtoken=", ":_auth=", ":_password="),
        r"(?i):_[a-z]+=\"?([^\s\"]{8,})",
        judge="filled",
    ),
    Rule(
        "docker-config", ('"auth"', '\\"auth\\'), r"\\*\"auth\\*\"\s*:\s*\\*\"([A-Za-z0-9+/=]{8,})"
    ),
    Rule(
        "sql-password",
        ("identified by", "identified with"),
        r"(?i)identified (?:with \w+ )?by +(?:password +)?[\"']([^\"'\r\n]+)",
        judge="opaque",
    ),
    Rule(
        "netrc-password",
        ("login ",),
        r"(?i)login[ \t]+\S+[ \t]+password[ \t]+[\"']?([^\s\"';]+)",
        edge=True,
        judge="filled",
    ),
    Rule(
        "kube-client-key", ("client-key-data",), rf"client-key-data{_COLON}([A-Za-z0-9+/=]{{40,}})"
    ),
    Rule(
        "jwt",
        ("eyj",),
        r"eyJ[A-Za-z0-9_-]{8,}\.(?:eyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*|[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]{8,}){3})",
    ),
    # Private keys on one line: escaped in JSON, or the whole file in base64. Those that span
    # lines are for `private_key.PrivateKeyLines`, which this rule's keywords set off.
    Rule(
        "private-key",
        ("-----begin ", "---- begin ", "private-lines:"),
        r"(?:-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|---- BEGIN [A-Z0-9 ]*PRIVATE KEY ----"
        r"|Private-Lines: [0-9]+)"
        r"(?:(?:[\s\"\\]|\\+[nr])*(?:Version|Comment|Hash|Proc-Type|DEK-Info): [^\\\r\n]{0,200})*"
        r"(?:[\s\"']|\\+[nr])*((?:[A-Za-z0-9+/=]|\\+[nrt]|[ \t\\])*)",
        judge="key-material",
    ),
    Rule(
        "private-key",
        ("ls0tls1crudjti",),
        # "-----BEGIN " and then "RSA PRIV", "PRIVATE ", "OPENSSH ", "EC PRIV", "ENCRYPTE",
        # "PGP PRIV", "DSA PRIV", as they are in base64.
        r"LS0tLS1CRUdJTiB(?:SU0EgUFJJV|QUklWQVRF|PUEVOU1NI|FQyBQUklW|FTkNSWVBU|QR1AgUFJJV|EU0EgUFJJV)"
        r"[A-Za-z0-9+/=_-]{20,}",
    ),
    # Whatever else has a name and a value; last, so that the others give it their names.
    Rule(
        "assignment", ("pwd=", "pwd ="), r"(?i)pwd ?=([^\s;\"'&]+)", edge=True, judge="connection"
    ),
    Rule("assignment", _NOUNS, _ASSIGNMENT, judge="assignment"),
)
