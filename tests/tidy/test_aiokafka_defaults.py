"""aiokafka's defaults lose calls, so each of these is set on purpose where a client is made.

`enable_auto_commit=True` forgets what was read and not done, `auto_offset_reset="latest"` jumps over records in
silence, `enable_idempotence=False` and `acks=1` lose or double what was written, and forty seconds are no time-out
for a call. A consumer group stands still for seconds when a member dies. And a client that is not told how we come to
Kafka comes in plain text. The bench shows all that on purpose and is not looked at.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ANY = object()  # set to something, on purpose

WANTED: dict[str, dict[str, object]] = {
    "AIOKafkaProducer": {"acks": "all", "enable_idempotence": True, "request_timeout_ms": ANY},
    "AIOKafkaConsumer": {
        "group_id": None,
        "enable_auto_commit": False,
        "auto_offset_reset": "none",
        "request_timeout_ms": ANY,
    },
    "AIOKafkaAdminClient": {"request_timeout_ms": ANY},
}


def made_carelessly(source: str) -> Iterator[str]:
    """One line for each setting of a client that is left to its default, or is not what it should be."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func).rpartition(".")[2]
        if name == "subscribe":
            yield f"line {node.lineno}: subscribe() forms a group or reads with its own mind; assign() the partitions"
        if name not in WANTED:
            continue
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        unfolded = [ast.unparse(keyword.value) for keyword in node.keywords if keyword.arg is None]
        if any(not each.endswith("access.client_options()") for each in unfolded):
            yield f"line {node.lineno}: {name}(**...) hides its settings; write them out"
        if not unfolded:
            yield f"line {node.lineno}: {name} comes nameless, whatever is set; give **access.client_options()"
        if node.args:
            yield f"line {node.lineno}: {name}(topic) subscribes; assign() the partitions"
        for setting, wanted in WANTED[name].items():
            if setting not in given:
                yield f"line {node.lineno}: {name} leaves {setting} to its default; set it on purpose"
            elif wanted is not ANY and not _is(given[setting], wanted):
                yield f"line {node.lineno}: {name} has {setting}={ast.unparse(given[setting])}; expected {wanted!r}"


def _is(value: ast.expr, wanted: object) -> bool:
    return isinstance(value, ast.Constant) and value.value == wanted and type(value.value) is type(wanted)


def clients() -> Iterator[Path]:
    """The modules that make a client of Kafka."""
    for folder in ("services", "loadtest", "deploy"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "aiokafka" in path.read_text():
                yield path


@pytest.mark.parametrize("path", list(clients()), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_kafka_client_leaves_nothing_that_loses_calls_to_its_default(path: Path) -> None:
    """architecture.md, "what bites"."""
    assert list(made_carelessly(path.read_text())) == []


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("AIOKafkaProducer(bootstrap_servers=x)", 4),
        ("aiokafka.AIOKafkaProducer(acks=1, enable_idempotence=True, request_timeout_ms=1)", 2),
        ("AIOKafkaConsumer('calls', group_id='g', enable_auto_commit=0, auto_offset_reset='latest')", 6),
        ("AIOKafkaProducer(**settings)", 4),
        ("consumer.subscribe(['calls'])", 1),
        ("AIOKafkaProducer(acks='all', enable_idempotence=True, request_timeout_ms=MS, **access.client_options())", 0),
    ],
)
def test_careless_clients_are_found(source: str, count: int) -> None:
    """The check itself can fail."""
    assert len(list(made_carelessly(source))) == count


def test_the_check_looks_at_the_journal() -> None:
    """A renamed folder must not empty it."""
    names = {path.name for path in clients()}
    assert {"kafka_lane.py", "kafka_follower.py", "kafka_topics.py"} <= names
