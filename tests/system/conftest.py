"""Real Kafka for the tests of whole processes: one broker that they share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from deploy.kafka import scratch_cluster

HERE: Final = Path(__file__).parent

QUIET: Final = frozenset({"test_demo_killed.py", "test_rolling.py"})
"""These count seconds, or bring more than the machine carries: nothing runs beside them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Two things at a time (`--dist loadgroup`): the faults on their standing rig, and all the others."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(
                pytest.mark.xdist_group("faults" if item.path.is_relative_to(HERE / "faults") else "others")
            )
            if item.path.name in QUIET:
                item.add_marker(pytest.mark.quiet)


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """The bootstrap address of one real broker, with the topics. It ends with this process, whatever ends that."""
    with scratch_cluster() as cluster:
        yield cluster.bootstrap
