"""The shell of the last-line breaker: counts verdicts, and takes a divert's effect away while there are too many."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import structlog

from services.domain.calls.divert_cap import Cap, DivertCap
from services.domain.calls.exchange import Screened
from services.domain.policy import Divert
from services.ingress.metrics import IngressMetrics


class LastLine:
    """What an ingress makes of its firewall's verdicts."""

    def __init__(self, cap: Cap, metrics: IngressMetrics, logger: structlog.stdlib.BoundLogger) -> None:
        self._cap = DivertCap(cap)
        self._metrics = metrics
        self._logger = logger

    def judge(self, call_id: str, caller: str, screened: Screened, *, test: bool = False) -> Screened:
        """The same verdict, marked where it is a divert that is not followed; `caller` is the call's identity. Test
        calls are no part of the share: neither would they hide what is done to others, nor have it ignored."""
        if screened.verdict is None:
            return screened
        diverts = isinstance(screened.verdict, Divert)
        before = self._cap.ignores
        if not test:
            self._cap.heard(call_id, diverts, asyncio.get_running_loop().time(), caller)
        ignores = self._cap.ignores
        if ignores is not before:
            self._metrics.ignores_diverts.set(ignores)
            word = "last_line.ignores_diverts" if ignores else "last_line.follows_diverts"
            self._logger.warning(
                word, diverts=self._cap.diverts, of_calls=self._cap.calls, callers=self._cap.diverted_callers
            )
        if not (diverts and ignores):
            return screened
        self._metrics.diverts_ignored.inc()
        return replace(screened, reason="divert_ignored", ignored=True)
