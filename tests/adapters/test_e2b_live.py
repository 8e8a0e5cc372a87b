"""The E2B sandbox at E2B itself, for whoever has an account and wants to know.

With `GESTA_TEST_E2B_LIVE=1` and `E2B_API_KEY` the contract is run against the provider; it costs
a few minutes of a machine. Without them there is no test here, and none that is skipped.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters.e2b_sandbox import E2BSandbox
from ledger.isolation import Limits
from ledger.outcomes import Removed, SandboxMade
from ledger.ports import SandboxWish
from tests.contracts.sandbox_contract import SandboxContract
from tests.contracts.sandbox_runs import Run, code_of

HOME_ID = f"test-{uuid.uuid4()}"


def wish_for(workspace: Path) -> SandboxWish:
    """Return a wish for one run, which lives ten minutes at most."""
    return SandboxWish(
        home_id=HOME_ID,
        stream=str(uuid.uuid4()),
        ordinal=1,
        workspace=workspace,
        filesystem="workspace",
        network="none",
        limits=Limits(memory_mb=1 << 20, processes=2000),
        lifetime_s=600,
    )


if os.environ.get("GESTA_TEST_E2B_LIVE") == "1":

    class TestE2BLive(SandboxContract):
        """The contract, at E2B."""

        @pytest.fixture
        def workspace(self, tmp_path: Path) -> Path:
            """The directory that commands run in."""
            return tmp_path.resolve()

        @pytest.fixture
        def sandbox(self, workspace: Path) -> Iterator[E2BSandbox]:
            """A created sandbox."""
            sandbox = E2BSandbox(os.environ)
            made = sandbox.create(wish_for(workspace))
            assert isinstance(made, SandboxMade), made
            yield sandbox
            assert Removed() == sandbox.close()

        @pytest.fixture
        def inside(self, sandbox: E2BSandbox) -> Callable[[Path], Path]:
            """Where a directory of this machine is in the sandbox."""
            return sandbox.inside

        @pytest.fixture
        def kill_sandbox(self, sandbox: E2BSandbox) -> Callable[[], None]:
            """End it as another process would."""

            def kill() -> None:
                marked = sandbox.marked(HOME_ID)
                assert isinstance(marked, list)
                for one in marked:
                    assert Removed() == sandbox.remove(one.id)

            return kill

        def test_the_machine_has_no_way_out_and_the_changes_come_back(
            self, sandbox: E2BSandbox, workspace: Path
        ) -> None:
            """Nothing outside answers, and what was written there is written here."""
            (workspace / "given").write_text("given\n")
            run = Run(sandbox, workspace)
            script = "cat given; echo made >made; timeout 5 bash -c ': </dev/tcp/1.1.1.1/53'"

            assert code_of(run.shell(script)) in (1, 124)
            assert b"given\n" == run.out
            assert "made\n" == (workspace / "made").read_text()
