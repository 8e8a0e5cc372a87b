"""`gesta policy`: check profiles, show what one holds a run to, begin one's own.

Rule: a shipped profile is copied to the home to be edited; nothing of the user's is overwritten.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from adapters.cli.printing import tell, tell_json, warn
from ledger.errors import PolicyInvalid

if TYPE_CHECKING:
    from adapters.profiles import PolicyProvider
    from ledger.rules import Rules


@click.group("policy")
def policy_command() -> None:
    """Check, show and begin policy profiles."""


@policy_command.command("check")
@click.argument("profiles", nargs=-1, metavar="[FILE|PROFILE]...")
def check_command(profiles: tuple[str, ...]) -> int:
    """
    Check profiles by name, or files by path; by default all profiles that there are.

    Prints a line for each one that is right and for every key that is wrong; the exit code is 1
    if there is one.
    """
    from adapters.profiles import PolicyProvider

    provider = PolicyProvider()
    code = 0
    for profile in profiles or provider.names():
        problems = _problems(provider, profile)
        for problem in problems:
            warn(problem)
        if problems:
            code = 1
        else:
            tell(f"{profile}: ok")
    return code


@policy_command.command("show")
@click.option("--json", "json", is_flag=True, help="Print one JSON object.")
@click.argument("profile", required=False)
def show_command(profile: str | None, json: bool) -> None:
    """Show every key of PROFILE, by default the one that a run would have now."""
    from adapters.profiles import PolicyProvider, document_of

    rules = PolicyProvider().load(profile)
    texts, document = rules.texts, document_of(rules)
    if json:
        tell_json(
            {
                "profile": texts.profile,
                "source": texts.source,
                "digest": texts.digest,
                "policy": document,
            }
        )
        return
    import yaml

    tell(f"# {texts.profile}, from {texts.source}\n# sha256 {texts.digest}")
    tell(yaml.safe_dump(document, sort_keys=False, allow_unicode=True).rstrip("\n"))


@policy_command.command("init")
@click.argument("profile", default="default")
def init_command(profile: str) -> None:
    """Copy the shipped PROFILE to the home, to be edited there; never over another file."""
    from adapters.home import open_home
    from adapters.profiles import PolicyProvider, shipped_profiles

    name = PolicyProvider().chosen(profile)
    source = shipped_profiles() / f"{name}.yaml"
    if not source.is_file():
        shipped = ", ".join(sorted(file.stem for file in shipped_profiles().glob("*.yaml")))
        raise PolicyInvalid(f"cannot begin profile {name}: none ships; there are {shipped}")
    directory = open_home(os.environ).profiles
    directory.mkdir(mode=0o700, exist_ok=True)
    target = directory / source.name
    try:
        with open(target, "xb") as file:
            file.write(source.read_bytes())
    except FileExistsError:
        raise PolicyInvalid(f"cannot begin profile {name}: {target} is there already") from None
    tell(str(target))


def _problems(provider: PolicyProvider, profile: str) -> tuple[str, ...]:
    from adapters.wiring import make_redactor
    from ledger.errors import PolicyKeysInvalid

    is_file = "/" in profile or profile.endswith((".yaml", ".yml"))
    path = profile if is_file else ""
    try:
        if is_file:
            loaded = _parse(Path(profile))
        else:
            path = str(provider.find(profile))
            loaded = provider.load(profile)
        make_redactor(loaded.texts.redact)
    except PolicyKeysInvalid as error:
        return tuple(f"{path}: {problem}" for problem in error.problems)
    except PolicyInvalid as error:
        return (str(error),)
    return ()


def _parse(path: Path) -> Rules:
    from adapters.profiles import LARGEST
    from adapters.yaml_documents import parse_mapping, read_bounded, shown_path
    from ledger.policy import parse_policy, rules

    source = shown_path(path)

    def refuse(why: str) -> PolicyInvalid:
        return PolicyInvalid(f"cannot load profile {path.stem} ({source}): {why}")

    document = parse_mapping(read_bounded(path, LARGEST, refuse), refuse)
    policy = parse_policy(document, profile=path.stem, source=source)
    return rules(policy, profile=path.stem, source=source)
