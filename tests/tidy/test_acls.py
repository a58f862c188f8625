"""The ACLs that docs/firewall.md gives: each service may read and write the topics that its code does, and no more."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.journal import Topic

ROOT = Path(__file__).parents[2]
SERVICES = ("firewall", "ingress", "router", "psap_gateway", "failover", "ledger")
FOLLOWED = {"RegionFeed": Topic.ROUTING, "PsapStatuses": Topic.PSAP_STATUS}
"""What a service reads by a part of the host's."""

_ACL = re.compile(r"^acl --allow-host (\w+) (.+)$", re.MULTILINE)
_WRITES = re.compile(r"\.append\w*\(\s*Topic\.(\w+)")
_READS = re.compile(r"\.follow\(\s*Topic\.(\w+)")

Rights = set[tuple[str, str]]


def given(service: str) -> Rights:
    """What the paper allows a service's machines."""
    found: Rights = set()
    for host, rest in _ACL.findall((ROOT / "docs" / "firewall.md").read_text("utf-8")):
        if host == service.upper():
            operations, topics = (re.findall(rf"--{word} (\S+)", rest) for word in ("operation", "topic"))
            assert operations and topics, rest
            found |= {(operation, topic) for operation in operations for topic in topics}
    return found


def needed(service: str) -> Iterator[tuple[str, str]]:
    """What its code does."""
    for path in (ROOT / "services" / service).rglob("*.py"):
        text = path.read_text("utf-8")
        yield from (("Write", Topic[name]) for name in _WRITES.findall(text))
        yield from (("Read", Topic[name]) for name in _READS.findall(text))
        yield from (("Read", topic) for part, topic in FOLLOWED.items() if f"{part}(" in text)


@pytest.mark.parametrize("service", SERVICES)
def test_the_paper_allows_each_service_the_topics_of_its_code_and_no_more(service: str) -> None:
    """One too few, and a topic stands still; one too many, and whoever has that machine writes what is another's."""
    assert given(service) == {(operation, str(topic)) for operation, topic in needed(service)}
    assert given(service)
