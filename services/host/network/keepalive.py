"""How a connection to a neighbour that has vanished, or that hangs, is found: it is pinged (decision record 0021)."""

from __future__ import annotations

from typing import Final

from services.wire.methods import DELIVER, DIVERT, WATCH

KEEPALIVE_MS: Final = 1_000
KEEPALIVE_ANSWER_MS: Final = 2_000
"""A connection whose other side answers no ping within this is broken: three seconds after it fell silent at most."""
KEPT_ALIVE: Final = frozenset({DELIVER.path, DIVERT.path, WATCH.path})
"""Conversations with services of our own, which may fall silent for as long as a phone rings: their connections are
pinged by the opening side too. Others' servers might take our pings for abuse. Every server of ours pings."""
