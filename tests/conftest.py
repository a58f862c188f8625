"""What holds for every test: it runs on production's event loop, unless it brings virtual time along; and Hypothesis
judges by what is true, never by how long a busy machine took over it. A test that cannot run says what is missing; with
CI=true that is a failure, never a skip.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Generator, Mapping

import pytest
import uvloop
from hypothesis import settings

settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that `services/host/run.py` chooses (decision 0020)."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """On a machine that must run everything, a test that was not run has failed."""
    report = yield
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome, report.longrepr = "failed", f"{item.nodeid} must run here, and was skipped: {why}"
    return report
