"""Real Kafka for the tests of whole processes: one broker that they share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from deploy.kafka import scratch_cluster

HERE: Final = Path(__file__).parent

QUIET: Final = frozenset(
    {"test_chaos.py", "test_chaos_ends.py", "test_demo_killed.py", "test_rolling.py", "test_storm_of_debts.py"}
)
"""These count seconds, or bring more than the machine carries: nothing runs beside them."""
LONGEST: Final = "test_demo.py"
"""One test of some four minutes: begun last, it would run alone."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks them: `make test` runs the others two files at a time, the longest first, and these after them."""
    for item in items:
        if item.path.name in QUIET and item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.quiet)
    items.sort(key=lambda item: item.path != HERE / LONGEST)


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """The bootstrap address of one real broker, with the topics. It ends with this process, whatever ends that."""
    with scratch_cluster() as cluster:
        yield cluster.bootstrap
