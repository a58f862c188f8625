"""The whole of what chaos hurts, brought up and down: places, stage, and the accounts of what became of its calls."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from chaos.links import Links
from chaos.schedule import BROKERS
from chaos.stage import KAFKA, TWO_OF_EACH, Stage, everybody
from chaos.witnesses import Accounts, JournalAccount, LedgerAccount
from services.host.lifeline import Held
from services.host.settings import ROOT
from services.launch.installation import names

RESTART_AFTER_S: Final = 0.5
KAFKA_PORT: Final = 9092
"""Inside namespaces of our own, where nobody else can have it."""


@dataclass(frozen=True, slots=True)
class Whole:
    """All of it. `links` is None where there are no namespaces."""

    stage: Stage
    links: Links | None
    accounts: Accounts


@asynccontextmanager
async def whole(folder: Path, seed: int, *, namespaces: bool, above: Held) -> AsyncIterator[Whole]:
    """Brings everything up; raises CannotStart, ChildFailed or ChildEnded where it does not come."""
    async with AsyncExitStack() as stack:
        links: Links | None = None
        if namespaces:
            links = Links([KAFKA, *(name for _, name in everybody())], seed)
            await asyncio.to_thread(links.up)
            links.listen()
            stack.callback(links.close)
        stage = Stage(
            folder,
            brokers=BROKERS,
            kafka_port=KAFKA_PORT if namespaces else 0,
            places=links,
            restart_after_s=RESTART_AFTER_S,
            above=above,
            seed=seed,
        )
        await stack.enter_async_context(stage)
        journal = JournalAccount(stage.kafka)
        await journal.start()
        stack.push_async_callback(journal.stop)
        yield Whole(stage, links, Accounts(stage.far_end_diary, journal, LedgerAccount(stage.installation.books)))


def replicas() -> Mapping[str, Sequence[str]]:
    """Names of all replicas by service."""
    return {service: names(service, TWO_OF_EACH) for service in TWO_OF_EACH}


class Folder:
    """A run's own folder: removed at its end unless it was asked for, or something is to be looked into."""

    def __init__(self, wanted: Path | None) -> None:
        name = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"
        self.path = wanted.resolve() if wanted else ROOT / "build" / "chaos" / name
        self.keep = wanted is not None
        self._owner = os.getpid()

    def __enter__(self) -> Folder:
        self.path.mkdir(parents=True)
        return self

    def __exit__(self, *_: object) -> None:
        if not self.keep:
            shutil.rmtree(self.path, ignore_errors=True)
