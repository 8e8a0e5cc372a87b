"""What the wheel holds: three packages, the profiles, the verifier, and nothing else."""

from __future__ import annotations

import configparser
import email
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("adapters", "ledger", "projections")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from the checkout, with what is installed, and give its path."""
    target = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", target],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (path,) = target.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack the wheel, which is all that installing a pure one does with its packages."""
    target = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def test_the_wheel_holds_packages_profiles_and_verifier_and_nothing_else(unpacked: Path) -> None:
    """Every file in the wheel is a module, a marker of types, a profile, the verifier, metadata."""
    expected = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.suffix == ".py" or path.name == "py.typed"
    }
    expected |= {
        f"adapters/shipped_profiles/{path.name}" for path in (ROOT / "configs/profiles").iterdir()
    }
    expected.add("adapters/shipped_verifier/gesta_verify.py")
    metadata = _metadata(unpacked).name
    expected |= {
        f"{metadata}/{name}"
        for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")
    }
    assert expected == {
        str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file()
    }


def test_the_wheel_marks_every_package_as_typed(unpacked: Path) -> None:
    """Type checkers read our annotations, because each package holds a py.typed (PEP 561)."""
    assert all((unpacked / package / "py.typed").is_file() for package in PACKAGES)


def test_the_wheel_ships_the_profiles_that_the_documentation_names(unpacked: Path) -> None:
    """The six profiles are data inside the adapters, and nothing but YAML lies beside them."""
    shipped = unpacked / "adapters" / "shipped_profiles"
    assert ["bubblewrap", "default", "docker", "e2b", "local", "strict"] == sorted(
        path.stem for path in shipped.iterdir()
    )
    assert {".yaml"} == {path.suffix for path in shipped.iterdir()}


def test_installing_the_wheel_gives_one_command(unpacked: Path) -> None:
    """The only script is `gesta`, which calls the command line's `main`."""
    scripts = configparser.ConfigParser()
    scripts.read(_metadata(unpacked) / "entry_points.txt")
    assert {"gesta": "adapters.cli:main"} == dict(scripts["console_scripts"])


def test_the_wheel_says_its_licence_and_the_python_that_it_needs(unpacked: Path) -> None:
    """The metadata name the distribution, Apache-2.0 and Python 3.11."""
    metadata = email.message_from_bytes((_metadata(unpacked) / "METADATA").read_bytes())
    assert ("gesta", "Apache-2.0", ">=3.11") == (
        metadata["Name"],
        metadata["License-Expression"],
        metadata["Requires-Python"],
    )


def test_the_unpacked_wheel_runs_without_the_checkout(unpacked: Path, tmp_path: Path) -> None:
    """The command line of the wheel checks the profile of the wheel, away from any checkout."""
    program = (
        f"import sys; sys.path.insert(0, {str(unpacked)!r}); import adapters.cli as cli; "
        f"assert cli.__file__.startswith({str(unpacked)!r}), cli.__file__; "
        "sys.argv = ['gesta', 'policy', 'show', 'strict']; cli.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "GESTA_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (0, "") == (done.returncode, done.stderr)
    assert "may_lose" in done.stdout


def test_every_dependency_is_pinned() -> None:
    """The constraints hold one exact version a line, for all that we depend on and more."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert [] == [pin for pin in pins if not re.fullmatch(r"[\w.-]+==[\w.+]+", pin)]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["dev"]
    assert {_canonical(text) for text in wanted} <= {_canonical(pin) for pin in pins}


def _canonical(requirement: str) -> str:
    """Return the normalised name of what is required (PEP 503)."""
    name = re.match(r"[\w.-]+", requirement)
    assert name
    return re.sub(r"[-_.]+", "-", name.group()).lower()


def _metadata(unpacked: Path) -> Path:
    (directory,) = unpacked.glob("*.dist-info")
    return directory
