"""docs/configuration.md, docs/metrics.md and parts of two other papers (a picture, a table), drawn from the code.

`python -m services.launch.papers` (make papers) writes them; a tidy test compares, so that no setting and no metric is
without its sentence.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import annotated_types
from prometheus_client import CollectorRegistry
from pydantic.fields import FieldInfo

from services.domain.calls.diagram import BEGIN, END, mermaid
from services.host.files import MemoryFiles
from services.host.logs import make_logger
from services.host.metrics import HostMetrics
from services.host.network.memory import MemoryNetwork
from services.host.settings import ROOT, ServiceSettings, load
from services.host.world import World
from services.journal.disk import MemoryDisk
from services.journal.memory import MemoryBroker, MemoryLog
from services.launch.catalogue import SERVICES
from services.policy.attributes import ATTRIBUTES, Attribute
from services.policy.checks.grounds import COUNTS_MIN

_MADE: Final = "<!-- written by: make papers -->"
_ATTRIBUTES_BEGIN: Final = "<!-- attributes: written by make papers -->"
_ATTRIBUTES_END: Final = "<!-- attributes: end -->"
_CONFIGURATION: Final = f"""{_MADE}
# Configuration

A service reads its settings once, from the environment, before it binds any port. A value that cannot be used is told
as one line a field, and the process ends with exit code 64. `throughline doctor` looks at the settings of all services.

Each field of a service is `THROUGHLINE_<SERVICE>_<FIELD>`. The fields that every service has can also be set once for
all of them, as `THROUGHLINE_<FIELD>`; a service's own variable is stronger. Lists are separated by commas.
"""
_METRICS: Final = f"""{_MADE}
# Metrics

Every process shows its metrics at `/metrics` of its `metrics_listen` address, beside `/livez` and `/readyz`. Counters
end in `_total` there; a histogram is `_bucket`, `_sum` and `_count`. What Python and the operating system say of the
process (`process_*`, `python_info`) is there too.
"""


def papers(root: Path = ROOT) -> Mapping[Path, str]:
    """Each paper's path and the text that it should have."""
    followed = root / "docs" / "follow-a-call.md"
    language = root / "docs" / "policy-language.md"
    return {
        root / "docs" / "configuration.md": configuration(),
        root / "docs" / "metrics.md": metrics(),
        followed: _redrawn(followed.read_text("utf-8")),
        language: _listed(language.read_text("utf-8")),
    }


def _listed(paper: str) -> str:
    """The paper on the language with every attribute that a rule may ask."""
    before, begin, rest = paper.partition(_ATTRIBUTES_BEGIN)
    _, end, after = rest.partition(_ATTRIBUTES_END)
    assert begin and end, "expected the two marks between which the attributes stand"
    rows = [(f"`{each.name}`", each.type.value, _ground(each), each.meaning) for each in ATTRIBUTES.values()]
    return f"{before}{begin}\n{_table(('attribute', 'type', '', 'what it is'), rows)}{end}{after}"


def _ground(attribute: Attribute) -> str:
    """What it can be for a divert; of a count, from how many calls on."""
    least = COUNTS_MIN.get(attribute.name)
    return attribute.ground if least is None else f"{attribute.ground}, from {least}"


def configuration() -> str:
    """Every setting, by service."""
    parts = [_CONFIGURATION, "## Every service\n", _settings_table(ServiceSettings, ServiceSettings.model_fields)]
    for name, runnable in SERVICES.items():
        kind = runnable.load_settings()
        own = {field: info for field, info in kind.model_fields.items() if field not in ServiceSettings.model_fields}
        parts += [f"## {name}\n", _settings_table(kind, own) if own else "Only those that every service has.\n"]
    return "\n".join(parts)


def _settings_table(kind: type[ServiceSettings], fields: Mapping[str, FieldInfo]) -> str:
    rows = [
        (f"`{kind.variables(field)[0]}`", _default(field, info), _allowed(info), info.description or "")
        for field, info in fields.items()
    ]
    return _table(("variable", "default", "allowed", "what it is"), rows)


def _default(field: str, info: FieldInfo) -> str:
    value = info.default
    if field == "name":
        return "the service's"
    if value is None or value in ("", ()):
        return "none"
    if isinstance(value, Path) and value.is_relative_to(ROOT):
        value = value.relative_to(ROOT)
    if isinstance(value, bool):
        value = str(value).lower()
    return f"`{','.join(map(str, value)) if isinstance(value, tuple) else value}`"


def _allowed(info: FieldInfo) -> str:
    """The bounds of a field, in words."""
    words = []
    for bound in info.metadata:
        match bound:
            case annotated_types.Ge():
                words.append(f"{bound.ge} or more")
            case annotated_types.Gt():
                words.append(f"more than {bound.gt}")
            case annotated_types.Le():
                words.append(f"{bound.le} or less")
            case annotated_types.Lt():
                words.append(f"less than {bound.lt}")
            case _:
                pattern = getattr(bound, "pattern", None)
                words += [f"`{pattern}`".replace("|", "\\|")] if pattern else []
    return ", ".join(words)


def metrics() -> str:
    """Every metric, by service: made from the real classes, each in a registry of its own."""
    host = CollectorRegistry()
    HostMetrics(host, load(ServiceSettings, name="a-service"), "0-0")
    parts = [_METRICS, "## Every service\n", _metrics_table(host)]
    for name, runnable in SERVICES.items():
        world = _empty_world()
        runnable.load_service()(world, load(runnable.load_settings()))
        parts += [f"## {name}\n", _metrics_table(world.registry)]
    return "\n".join(parts)


def _empty_world() -> World:
    """A world in which nothing happens: a service's class makes its metrics and does no I/O."""
    return World(
        name="a-service",
        incarnation="0-0",
        network=MemoryNetwork(),
        log=MemoryLog(MemoryBroker(lambda: 0)),
        wall_ms=lambda: 0,
        random=random.Random(0),
        files=MemoryFiles(),
        disk=MemoryDisk(),
        registry=CollectorRegistry(),
        logger=make_logger("error", sys.stderr),
    )


def _metrics_table(registry: CollectorRegistry) -> str:
    rows = [
        (f"`{name}`", each._type, ", ".join(f"`{label}`" for label in each._labelnames), each._documentation)
        for name, each in sorted(_ours(registry))
    ]
    return _table(("metric", "kind", "labels", "what it says"), rows)


def _ours(registry: CollectorRegistry) -> Iterator[tuple[str, Any]]:
    """Name and metric; the collectors of the Prometheus library itself are not among them."""
    for each in registry._collector_to_names:
        if hasattr(each, "_labelnames"):
            metric: Any = each
            yield metric._name + ("_total" if metric._type == "counter" else ""), metric


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _redrawn(text: str) -> str:
    """The paper with the picture of a call as its table says."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    assert begin and end, f"expected {BEGIN} and {END} in docs/follow-a-call.md"
    return f"{before}{begin}\n```mermaid\n{mermaid()}\n```\n{end}{after}"


def main() -> None:
    """Writes what differs."""
    for path, text in papers().items():
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")
            print(f"wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
