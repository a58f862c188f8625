"""Every scenario by its name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from simulator.scenarios import att, bad_artefacts, cloudflare, firewalls, flood, massachusetts
from simulator.scenarios.scenario import Scenario

SCENARIOS: Final[Mapping[str, Scenario]] = MappingProxyType(
    {
        each.name: each
        for each in (
            massachusetts.SCENARIO,
            att.SCENARIO,
            cloudflare.BURN,
            cloudflare.DOUBLE,
            cloudflare.UNTRIED,
            bad_artefacts.CROWDSTRIKE,
            bad_artefacts.EXPIRED,
            firewalls.HUNG,
            firewalls.SLOW,
            firewalls.KILLED,
            flood.SCENARIO,
        )
    }
)
