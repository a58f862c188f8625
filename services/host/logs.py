"""Logs: one event a line, JSON unless a person is looking, and never a caller's number or place in clear.

The first word of an event is a dotted fact, such as `call.settled`; everything else is a field. What libraries say
through the standard `logging` comes out in the same shape. Nothing here is global but that last bridge.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Final, TextIO

import structlog
from structlog.typing import Processor

LISTENING: Final = "service.listening"
"""The event that says the addresses of a process; whoever started it reads this line, so no level hides it."""

REPEAT_S: Final = 10.0
_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40, "exception": 40, "critical": 50}
_PRIVATE_KEYS: Final = frozenset(
    {"caller", "caller_number", "callback", "callback_number", "number", "tel"}
    | {"place", "location", "latitude", "longitude", "radius_m"}
)
_NUMBER: Final = re.compile(r"(?:tel:|sips?:)\+?[\d.()-]{7,}|\+\d{7,15}\b|\b\d{3}[-. ]\d{3}[-. ]\d{4}\b")

Event = MutableMapping[str, Any]


def make_logger(
    level: str, out: TextIO = sys.stdout, *, key: bytes | None = None, **fields: Any
) -> structlog.stdlib.BoundLogger:
    """A logger to `out` with these fields on each line. `key` fixes the hash of what is private (for tests)."""
    to_person = out.isatty()
    processors: list[Processor] = [
        _at_least(_LEVELS[level]),
        structlog.stdlib.add_log_level,
        structlog.processors.format_exc_info,
        _hide_private(key or os.urandom(16)),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.dev.ConsoleRenderer(timestamp_key="at") if to_person else _render,
    ]
    logger: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        structlog.PrintLogger(out),
        processors=processors,
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return logger.bind(**fields)


def bridge_libraries(logger: structlog.stdlib.BoundLogger, level: str = "warning") -> None:
    """Lets what libraries say through `logging`, at this level or above, come out through `logger`."""
    root = logging.getLogger()
    root.handlers[:] = [_Bridge(logger)]
    root.setLevel(_LEVELS[level])


class _Bridge(logging.Handler):
    """Hands on the records of the standard library's logging.

    What one line of a library's code says again within REPEAT_S is counted instead: a client that finds no broker says
    so several times a second, for as long as there is none.
    """

    def __init__(self, logger: structlog.stdlib.BoundLogger) -> None:
        super().__init__()
        self._logger = logger
        self._said: dict[tuple[str, int], tuple[float, int]] = {}  # where in the code: when, and how often since

    def emit(self, record: logging.LogRecord) -> None:
        place = (record.pathname, record.lineno)
        at_s, kept_back = self._said.get(place, (-REPEAT_S, 0))
        if record.created - at_s < REPEAT_S:
            self._said[place] = (at_s, kept_back + 1)
            return
        self._said[place] = (record.created, 0)
        level = record.levelname.lower() if record.levelname.lower() in _LEVELS else "warning"
        repeats = {"kept_back": kept_back} if kept_back else {}
        getattr(self._logger, level)(
            "library.said", library=record.name, said=record.getMessage(), exc_info=record.exc_info, **repeats
        )


def _at_least(least: int) -> Processor:
    def drop_lower(_: Any, method: str, event: Event) -> Event:
        if _LEVELS[method] < least and event.get("event") != LISTENING:
            raise structlog.DropEvent
        return event

    return drop_lower


def _hide_private(key: bytes) -> Processor:
    """What is private becomes a hash under a key of this process: two lines can be joined, nobody can be rung."""

    def token(value: Any) -> str:
        return "~" + hashlib.blake2s(str(value).encode("utf-8", "replace"), key=key, digest_size=6).hexdigest()

    def hide(value: Any) -> Any:
        if isinstance(value, str):
            return _NUMBER.sub(lambda found: token(found.group()), value) if len(value) >= 8 else value
        if isinstance(value, dict):
            return {k: token(v) if k in _PRIVATE_KEYS else hide(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [hide(each) for each in value]
        return value if value is None or isinstance(value, bool | int | float) else hide(str(value))

    def processor(_: Any, __: str, event: Event) -> Event:
        for name, value in event.items():
            event[name] = token(value) if name in _PRIVATE_KEYS and value else hide(value)
        return event

    return processor


def _render(_: Any, __: str, event: Event) -> str:
    first = {name: event.pop(name) for name in ("at", "level", "event") if name in event}
    return json.dumps(first | dict(event), ensure_ascii=False)
