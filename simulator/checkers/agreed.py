"""What was agreed, in figures, written a second time: a checker that read the services' own figures would believe
whatever they believe now, and a changed one would be nobody's finding.

From docs/protocol.md (the rule beside each) and docs/firewall.md. tests/simulation/test_agreed.py compares them with
the services', so that who changes one on purpose changes both.
"""

from __future__ import annotations

from typing import Final

APPEND_MS: Final = 50
"""J4: an ingress's budget for the acknowledgement of a fact."""
SAFE_MS: Final = 150
"""J4: so long after that budget `Accepted` is said, by what is known then."""
HEARTBEAT_MS: Final = 1_000
"""R2: a PSAP at which nothing rings says a word so often."""
SILENT_AFTER_MS: Final = 2_500
"""R2: a PSAP that has said nothing for so long is not there."""
CONFIRM_MS: Final = 1_000
"""P4: an answer that is not followed by `Connect` within this is released."""
AFTER_S: Final = 3.0
"""T3: a caller has so long to come back by a higher leg before a line rings them."""
PAUSES_S: Final = (15.0, 45.0)
"""T3: after a try to ring a caller back that came to nothing, before the next."""
TRIES_MAX: Final = 3
"""T3."""
START_MS: Final = 2_000
"""A process that starts waits so long for the region on Kafka, and for a disk (docs/decisions/0022)."""
BYPASS_MS: Final = 1_000
"""How often a firewall looks whether the file of the bypass is there."""
REPEATS_CALLS_MIN: Final = 6
"""By the how manieth call within ten minutes its caller is one who repeats."""
DIVERTED_SHARE: Final = 0.05
"""Of the state's calls, that may be diverted in a window."""
SLACK_CALLS: Final = 5
"""So many may be in any case."""
