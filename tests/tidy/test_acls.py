"""The ACLs that docs/firewall.md gives: each service may read and write the topics that its code does, and no more.

That Kafka takes them so is tests/system/test_names_at_kafka.py's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.journal import Topic
from tests.acls import SERVICES, given

ROOT = Path(__file__).parents[2]
FOLLOWED = {"RegionFeed": Topic.ROUTING, "PsapStatuses": Topic.PSAP_STATUS}
"""What a service reads by a part of the host's."""

_WRITES = re.compile(r"\.append\w*\(\s*Topic\.(\w+)")
_READS = re.compile(r"\.follow\(\s*Topic\.(\w+)")


def needed(service: str) -> Iterator[tuple[str, str]]:
    """What its code does."""
    for path in (ROOT / "services" / service.replace("-", "_")).rglob("*.py"):
        text = path.read_text("utf-8")
        yield from (("Write", Topic[name]) for name in _WRITES.findall(text))
        yield from (("Read", Topic[name]) for name in _READS.findall(text))
        yield from (("Read", topic) for part, topic in FOLLOWED.items() if f"{part}(" in text)


@pytest.mark.parametrize("service", SERVICES)
def test_the_paper_allows_each_service_the_topics_of_its_code_and_no_more(service: str) -> None:
    """One too few, and a topic stands still; one too many, and whoever has that machine writes what is another's."""
    assert given(service) == {(operation, str(topic)) for operation, topic in needed(service)}
    assert given(service)
