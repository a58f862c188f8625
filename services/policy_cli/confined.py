"""The child that reads and checks a stranger's bundle, within limits that it sets itself before it reads a byte.

    python -m services.policy_cli.confined CORPUS REGION_FOLDER MEMORY_BYTES CPU_S < bundle.yaml

It reads by the firewall's own reader and evaluates by the firewall's own evaluator: a checker that were only their
likeness would accept what they cannot take (CrowdStrike, July 2024).
"""

from __future__ import annotations

import json
import resource
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from services.host.clock import wall_ms
from services.host.exits import EXIT_FILE
from services.places.refusal import RegionRefused
from services.policy.attributes import Value
from services.policy.bundle import Bundle
from services.policy.checks.check import check
from services.policy.checks.finding import Finding
from services.policy.files.reading import BYTES_MAX, BundleRefused, read_bundle
from services.policy.verdicts.evaluating import Evaluation
from services.policy_cli.confinement import Remark
from services.policy_cli.corpora import Corpus, calls_of, named, read_region


def main(corpus: str, region: str, memory_bytes: str, cpu_s: str) -> None:
    """Answers on standard output; whatever fails beyond a refusal ends the process, which the parent tells."""
    try:
        calls = _calls(corpus, Path(region))  # ours, so before the limits
    except (OSError, RegionRefused) as why:
        print(f"{region} holds no region that can be used: {why}", file=sys.stderr)
        raise SystemExit(EXIT_FILE) from None
    limit, spent = int(memory_bytes), resource.getrusage(resource.RUSAGE_SELF)
    until_s = max(1, int(spent.ru_utime + spent.ru_stime) + int(cpu_s))
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CPU, (until_s, until_s + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        said = answer(sys.stdin.buffer.read(BYTES_MAX + 1), calls)
    except MemoryError:
        mib = limit // 1024**2
        said = refused(
            Remark(0, f"checking it took more than {mib} MiB of memory", "write fewer rules and shorter lists")
        )
    json.dump(said, sys.stdout)


def answer(content: bytes, calls: list[Mapping[str, Value]]) -> dict[str, Any]:
    """What is found in a bundle's bytes."""
    try:
        bundle = read_bundle(content)
    except BundleRefused as why:
        return refused(Remark(why.line, why.what, why.instead))
    report = check(bundle, calls, wall_ms=wall_ms())
    return {
        "errors": [asdict(_remark(each)) for each in report.errors],
        "warnings": [asdict(_remark(each)) for each in report.warnings],
        "bundle": told(bundle),
        "shares": _shares(bundle, calls) if calls and not report.errors else None,
    }


def _remark(found: Finding) -> Remark:
    return Remark(found.line, f"rule {found.rule_id}: {found.what}" if found.rule_id else found.what, found.instead)


def _shares(bundle: Bundle, calls: Sequence[Mapping[str, Value]]) -> dict[str, float]:
    """Of these calls, by rule: for how many it would speak."""
    evaluation, now_ms = Evaluation(bundle), wall_ms()
    spoke = Counter(evaluation.decide(each, now_ms).rule_id for each in calls)
    return {rule.rule_id: spoke[rule.rule_id] / len(calls) for rule in bundle.rules}


def refused(remark: Remark) -> dict[str, Any]:
    """One refusal, and nothing more known."""
    return {"errors": [asdict(remark)], "warnings": [], "bundle": None, "shares": None}


def told(bundle: Bundle) -> dict[str, Any]:
    """What an operator is told of a bundle that could be read."""
    return {
        "label": bundle.label,
        "version": bundle.version,
        "sha256": bundle.digest,
        "author": bundle.author,
        "rules": len(bundle.rules),
        "diverting": sum(rule.diverts for rule in bundle.rules),
        "list_items": sum(len(each.items) for each in bundle.lists.values()),
    }


def _calls(corpus: str, folder: Path) -> list[Mapping[str, Value]]:
    if not corpus:
        return []
    zone = ZoneInfo("America/New_York")
    region = read_region(folder)  # first: it refuses what is no file, and the corpora read the same ones
    return [call.inputs for call in calls_of(named(Corpus(corpus), folder), region, zone)]


if __name__ == "__main__":
    main(*sys.argv[1:5])
