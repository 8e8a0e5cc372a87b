"""The projections that gesta comes with."""

from __future__ import annotations

from projections.audit_trail import AuditTrail
from projections.commands import Commands
from projections.dashboard import Dashboard
from projections.projection import Projection
from projections.run_details import RunDetailing
from projections.run_status import RunStatuses
from projections.sandbox_metrics import SandboxMetrics
from projections.workspaces import Workspaces

BUILT_IN: tuple[Projection, ...] = (
    RunStatuses(),
    RunDetailing(),
    AuditTrail(),
    Commands(),
    SandboxMetrics(),
    Workspaces(),
    Dashboard(),
)
