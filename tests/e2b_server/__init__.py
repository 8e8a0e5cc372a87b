"""An E2B of our own: the provider's REST interface and a sandbox's Connect interface on one port.

Rule 1: it speaks what the unmodified SDK was seen to speak, not what would suit our adapter.
Rule 2: its sandboxes are directories, and what runs in them really runs: as processes of this
machine, ended when the sandbox is.
Rule 3: whatever it was asked is in its log, with the bodies; whatever may go wrong can be made to.
"""

from __future__ import annotations

from tests.e2b_server.faults import Fault
from tests.e2b_server.server import E2BServer

__all__ = ["E2BServer", "Fault"]
