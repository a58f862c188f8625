"""What docs/firewall.md tells an operator to say to Kafka: read from it, so that neither paper nor test can drift."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Final

PAPER: Final = Path(__file__).parents[1] / "docs" / "firewall.md"
SERVICES: Final = ("firewall", "ingress", "router", "psap-gateway", "failover", "ledger")
NAMES: Final = (*SERVICES, "operator")

Rights = set[tuple[str, str]]

_BLOCK: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def block(language: str, beginning: str) -> str:
    """The one block of the paper that begins so."""
    found: list[tuple[str, str]] = _BLOCK.findall(PAPER.read_text("utf-8"))
    (text,) = (text for kind, text in found if kind == language and text.startswith(beginning))
    return text


def properties(beginning: str) -> dict[str, str]:
    """A block of Kafka's settings."""
    return dict(line.split("=", 1) for line in block("properties", beginning).splitlines())


def settings(name: str, folder: Path, bootstrap: str) -> dict[str, str]:
    """The paper's settings of a firewall, as another service or the operator has them; their files are in `folder`."""
    found = {}
    for line in block("sh", "THROUGHLINE_KAFKA=").splitlines():
        variable, _, value = line.partition("=")
        service = "" if name == "operator" else f"_{name.replace('-', '_').upper()}"
        value = value.replace("firewall", name)
        if variable.endswith("_FILE"):
            value = str(folder / value)
        found[variable.replace("_FIREWALL", service)] = value.replace("BROKER:9092", bootstrap)
    return found


def given(name: str) -> Rights:
    """What its ACLs allow a name: operation and topic, `*` for any; Describe, which shows no record, is left out."""
    found: Rights = set()
    for line in block("sh", "acl()").replace("\\\n", "").splitlines():
        if not line.startswith("acl --"):
            continue
        words = shlex.split(line)[1:]
        told: dict[str, list[str]] = {}
        for option, value in zip(words[::2], words[1::2], strict=True):
            told.setdefault(option, []).append(value)
        assert told.keys() == {"--allow-principal", "--operation", "--topic"}, line
        if f"User:{name}" in told["--allow-principal"]:
            found |= {(each, topic) for each in told["--operation"] for topic in told["--topic"] if each != "Describe"}
    return found
