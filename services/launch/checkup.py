"""What `throughline doctor` looks at, and what it says to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from services.host.clock import wall_ms
from services.host.files import DiskFiles, FileTrouble
from services.host.kafka_settings import access_of
from services.host.region import load_region
from services.host.settings import Bad, ServiceSettings, load, unknown
from services.journal import Unavailable
from services.journal.kafka_checkup import Seen, look, probe
from services.launch.catalogue import SERVICES
from services.places.refusal import RegionRefused

CLOCK_OFF_MS_MAX: Final = 500
_ANY_WAY: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "kafka_protocol": "SASL_SSL",
        "kafka_ca_file": None,
        "kafka_certificate_file": None,
        "kafka_key_file": None,
        "kafka_user": "anybody",
        "kafka_password_file": Path("any"),
        "kafka_mechanism": "PLAIN",
    }
)
"""A way to Kafka that fits together, where something else is looked at. Nobody goes it."""
_NAME_US: Final = (
    "set THROUGHLINE_KAFKA_USER and THROUGHLINE_KAFKA_PASSWORD_FILE for who types this, or a certificate "
    "(docs/firewall.md)"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: what is so, and what to do where it is not well."""

    subject: str
    what: str
    remedy: str = ""

    @property
    def well(self) -> bool:
        return not self.remedy


async def check(kafka: str, environment: Mapping[str, str]) -> list[Finding]:
    """Everything, in the order in which it should be mended."""
    return [*_settings(environment), await _region(), *await _kafka(kafka)]


def _settings(environment: Mapping[str, str]) -> list[Finding]:
    """Each service's settings, as this environment gives them."""
    findings: list[Finding] = []
    for name, runnable in SERVICES.items():
        kind = runnable.load_settings()
        elsewhere = not any(variable.startswith(kind.own_prefix()) for variable in environment)
        lines, told = _bad_lines(kind), f"{len(kind.model_fields)} fields can be used"
        if lines and elsewhere:
            lines, told = _bad_lines(kind, _ANY_WAY), f"{told}; no name at Kafka is set for it on this machine"
        lines = (*lines, *unknown(kind, environment))
        findings += [Finding(f"settings of {name}", line, "set it as docs/configuration.md says") for line in lines]
        if not lines:
            findings.append(Finding(f"settings of {name}", told))
    return findings


def _bad_lines(kind: type[ServiceSettings], way: Mapping[str, Any] | None = None) -> tuple[str, ...]:
    """What a service would not start with; `way` stands for how it comes to Kafka."""
    try:
        settings = load(kind, **way or {})
        if way is None:
            access_of(settings)
    except Bad as bad:
        return bad.lines
    except FileTrouble as trouble:
        return (str(trouble),)
    return ()


async def _region() -> Finding:
    """The region and the credentials that the shared settings name."""
    try:
        settings = load(ServiceSettings, **_ANY_WAY)
    except Bad as bad:
        return Finding("region", bad.lines[0], "mend the settings first")
    try:
        await load_region(DiskFiles(), settings)
    except FileTrouble as trouble:
        return Finding("region", str(trouble), "set THROUGHLINE_REGION_DIR and THROUGHLINE_CREDENTIALS_FILE")
    except RegionRefused as refused:
        return Finding("region", str(refused), f"mend the file in {settings.region_dir}")
    return Finding("region", f"{settings.region_dir} can be read")


async def _kafka(bootstrap: str) -> list[Finding]:
    """Brokers, topics, copies, clock."""
    try:
        access = access_of(load(ServiceSettings))
    except Bad as bad:
        remedy = "set it as docs/configuration.md says" if _bad_lines(ServiceSettings, _ANY_WAY) else _NAME_US
        return [Finding("brokers", bad.lines[0], remedy)]
    except FileTrouble as trouble:
        return [Finding("brokers", str(trouble), "mend the file, or name the right one (docs/firewall.md)")]
    try:
        seen = await look(bootstrap, access)
    except Unavailable as why:
        return [
            Finding(
                "brokers", str(why), "start Kafka, set THROUGHLINE_KAFKA, or come by a name that may (docs/firewall.md)"
            )
        ]
    findings = [*_brokers(seen), *_topics(seen), *_copies(seen)]
    try:
        before_ms = wall_ms()
        broker_ms = await probe(bootstrap, access)
        after_ms = wall_ms()
    except Unavailable as why:
        return [*findings, Finding("write", str(why), "see which broker is down, and its disk")]
    findings.append(Finding("write", f"a record was kept by every in-sync copy within {after_ms - before_ms} ms"))
    off_ms = max(before_ms - broker_ms, broker_ms - after_ms, 0)
    told = f"the broker's clock and ours differ by {off_ms} ms"
    remedy = "" if off_ms <= CLOCK_OFF_MS_MAX else "synchronise both machines' clocks (NTP)"
    return [*findings, Finding("clock", told, remedy)]


def _brokers(seen: Seen) -> list[Finding]:
    told = f"{len(seen.answering)} of {len(seen.brokers)} answer: {', '.join(seen.answering)}"
    gone = sorted(set(seen.brokers) - set(seen.answering))
    findings = [Finding("brokers", told, f"start {', '.join(gone)}" if gone else "")]
    if len(seen.brokers) < 3:
        told = f"{len(seen.brokers)} hold each record: its loss is the journal's; three are wanted in production"
        findings.append(Finding("copies wanted", told))
    return findings


def _topics(seen: Seen) -> list[Finding]:
    findings = [Finding(f"topic {name}", "is missing", "throughline topics apply") for name in seen.missing]
    findings += [
        Finding(f"topic {each.topic}", f"{each.what} should be {each.expected}, is {each.came}", _alter(each.what))
        for each in seen.differences
    ]
    return findings or [Finding("topics", f"all {seen.topics} are there and as they should be")]


def _alter(what: str) -> str:
    if "." in what:
        return f"kafka-configs.sh --alter --add-config {what}=..., once you are sure"
    return "kafka-topics.sh --alter or kafka-reassign-partitions.sh, once you are sure"


def _copies(seen: Seen) -> list[Finding]:
    if not seen.short:
        return [Finding("in-sync copies", f"all copies of all {seen.partitions} partitions are in sync")]
    return [
        Finding("in-sync copies", line, "bring the missing broker back, and wait until it has caught up")
        for line in seen.short
    ]
