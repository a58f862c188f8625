"""Logs: one JSON line an event, private things hidden, libraries in the same shape."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.host.logs import LISTENING, bridge_libraries, make_logger


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    """What was logged."""
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_an_event_is_one_line_of_json_with_the_fields_of_its_process() -> None:
    """Time, level and event come first; nothing is lost on the way."""
    out = io.StringIO()
    make_logger("info", out, service="bell", name="bell-1").info("call.settled", call_id="c1", took_ms=1.5, line=None)
    (line,) = lines(out)
    assert list(line)[:3] == ["at", "level", "event"]
    assert line | {"at": ""} == {
        "at": "",
        "level": "info",
        "event": "call.settled",
        "service": "bell",
        "name": "bell-1",
        "call_id": "c1",
        "took_ms": 1.5,
        "line": None,
    }


def test_what_is_below_the_level_is_not_logged_but_the_addresses_are() -> None:
    """Whoever started the process reads `service.listening`, whatever its level."""
    out = io.StringIO()
    logger = make_logger("error", out)
    logger.info("call.settled")
    logger.warning("call.odd")
    logger.info(LISTENING, address="127.0.0.1:1")
    logger.error("call.lost")
    assert [line["event"] for line in lines(out)] == [LISTENING, "call.lost"]


@given(st.integers(0, 99), st.sampled_from(["tel:+1617555{}", "+1617555{}", "617-555-{}", "sip:617.555.{}@x"]))
def test_a_callers_number_is_never_in_clear(last: int, shape: str) -> None:
    """By its key or by its shape, in a field, inside a text, a list or a mapping. Tokens are of digits too, and one may
    have these four by chance."""
    number = shape.format(f"01{last:02d}")
    out = io.StringIO()
    make_logger("info", out).info(
        "call.odd", caller=number, said=f"cannot ring {number} back", all=[number], more={"callback": number}, it=number
    )
    said = re.sub(r"~[0-9a-f]{12}", "", out.getvalue().replace(lines(out)[0]["at"], ""))
    assert f"01{last:02d}" not in said


def test_two_lines_of_one_caller_can_be_joined_within_a_process_and_not_beyond() -> None:
    """The hash is keyed: the same number, the same token; another process, another token."""
    out, other = io.StringIO(), io.StringIO()
    logger = make_logger("info", out)
    logger.info("call.settled", caller="+16175550101")
    logger.info("call.settled", caller="+16175550101")
    logger.info("call.settled", caller="+16175550102")
    make_logger("info", other).info("call.settled", caller="+16175550101")
    first, second, third = (line["caller"] for line in lines(out))
    assert first == second != third
    assert lines(other)[0]["caller"] != first


def test_a_callers_place_is_never_in_clear() -> None:
    """Coordinates and place are hidden by their keys."""
    out = io.StringIO()
    make_logger("info", out).info("call.odd", latitude=42.3601, place={"longitude": -71.0589})
    assert "42.36" not in out.getvalue()
    assert "71.05" not in out.getvalue()


def test_an_exception_is_told_whole_on_one_line() -> None:
    """The traceback is a field, so that one event stays one line."""
    out = io.StringIO()
    try:
        raise ValueError("what came")
    except ValueError as error:
        make_logger("info", out).error("task.failed", exc_info=error)
    (line,) = lines(out)
    assert "ValueError: what came" in line["exception"]
    assert "test_logs.py" in line["exception"]


@pytest.fixture
def bridged() -> Iterator[io.StringIO]:
    """What comes out of the bridge; the root logger is as before afterwards."""
    out = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    bridge_libraries(make_logger("info", out))
    yield out
    root.handlers[:] = handlers
    root.setLevel(level)


def test_what_a_library_says_comes_out_in_the_same_shape(bridged: io.StringIO) -> None:
    """Warnings and worse of the standard logging, as `library.said`."""
    logging.getLogger("aiokafka").warning("no broker at %s", "127.0.0.1:9")
    logging.getLogger("aiokafka").info("chatter")
    (line,) = lines(bridged)
    assert (line["event"], line["library"], line["said"]) == ("library.said", "aiokafka", "no broker at 127.0.0.1:9")


def test_what_a_library_says_again_and_again_is_said_once_and_counted(bridged: io.StringIO) -> None:
    """A client that finds no broker must not drown the lines of the calls."""
    library = logging.getLogger("aiokafka")
    for created in (100.0, 101.0, 109.9, 110.1):
        record = library.makeRecord("aiokafka", logging.ERROR, "client.py", 7, "no broker at %s", (created,), None)
        record.created = created
        library.handle(record)
    assert [(line["said"], line.get("kept_back")) for line in lines(bridged)] == [
        ("no broker at 100.0", None),
        ("no broker at 110.1", 2),
    ]
