"""What holds for every test: it runs on production's event loop, unless it brings virtual time along; and Hypothesis
judges by what is true, never by how long a busy machine took over it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping

import uvloop
from hypothesis import settings

settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that `services/host/run.py` chooses (decision 0020)."""
    return {"uvloop": uvloop.new_event_loop}
