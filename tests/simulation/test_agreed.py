"""What checkers hold services to is what services do: a figure that is changed is changed in both, on purpose."""

from __future__ import annotations

import pytest

from services.domain.gateways.attachments import SILENT_AFTER_S
from services.domain.gateways.rings import CONFIRM_S
from services.domain.take_overs import facts, ring_backs
from services.firewall.policies.bypass import LOOK_EVERY_S
from services.host.region_feed import START_PATIENCE_S
from services.ingress.settings import IngressSettings
from services.journal.safekeeping import OPEN_WITHIN_S, WITHIN_S
from services.policy.bundle import Limits
from services.policy.verdicts import guards, scopes
from services.psap_gateway.lines import HEARTBEAT_S
from simulator.checkers import agreed


@pytest.mark.parametrize(
    ("agreed_on", "done"),
    [
        (agreed.APPEND_MS, IngressSettings.model_fields["append_budget_ms"].default),
        (agreed.SAFE_MS, WITHIN_S * 1000),
        (agreed.HEARTBEAT_MS, HEARTBEAT_S * 1000),
        (agreed.SILENT_AFTER_MS, SILENT_AFTER_S * 1000),
        (agreed.CONFIRM_MS, CONFIRM_S * 1000),
        (agreed.AFTER_S, ring_backs.AFTER_S),
        (agreed.PAUSES_S, ring_backs.PAUSES_S),
        (agreed.TRIES_MAX, facts.TRIES_MAX),
        (agreed.START_MS, START_PATIENCE_S * 1000),
        (agreed.START_MS, OPEN_WITHIN_S * 1000),
        (agreed.BYPASS_MS, LOOK_EVERY_S * 1000),
        (agreed.REPEATS_CALLS_MIN, guards.REPEATS_CALLS_MIN),
        (agreed.DIVERTED_SHARE, Limits().diverted_share),
        (agreed.SLACK_CALLS, scopes.SLACK_CALLS),
    ],
)
def test_a_figure_of_the_rules_is_the_same_in_the_services(agreed_on: object, done: object) -> None:
    """J4, P4, T3 and the firewall's own: checkers read agreed.py alone, which no change of a service moves."""
    assert agreed_on == done
