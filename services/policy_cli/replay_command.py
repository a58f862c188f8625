"""`throughline policy replay`: what changes with a candidate, over calls that have been or could be."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from datetime import tzinfo
from pathlib import Path
from typing import Annotated, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer
from rich.console import Console

from services.host.addresses import checked
from services.host.clock import wall_ms
from services.host.exits import EXIT_FILE, EXIT_UNAVAILABLE
from services.host.settings import ROOT
from services.places.refusal import RegionRefused
from services.places.region import Region
from services.policy.bundle import Bundle
from services.policy.files.built_in import built_in
from services.policy.replays.difference import Call
from services.policy.replays.findings import findings
from services.policy.replays.replaying import Judging, replay
from services.policy.verdicts.evaluating import BundleUnfit, Evaluation
from services.policy_cli import asking, confinement, corpora, recordings, seals
from services.policy_cli.ending import EXIT_REFUSED, refuse
from services.policy_cli.progress import Progress
from services.policy_cli.replayed import Replayed
from services.policy_cli.report_page import html
from services.policy_cli.report_text import page
from services.readers.reading import NoJournal
from services.readers.since import BadInstant, parse_since
from services.readers.wording import plain

_WIDE: Final = 200
_REGION: Final = ROOT / "data" / "massachusetts"


def replay_command(
    file: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The candidate's YAML file.")],
    live: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The live bundle's file. Default: what --firewall serves.")
    ] = None,
    firewall: asking.Firewalls = "",
    corpus: Annotated[
        corpora.Corpus | None, typer.Option(help="Calls that come with the project.  [default: day]", show_choices=True)
    ] = None,
    trace: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Calls of a file instead, one JSON a line.")
    ] = None,
    recorded: Annotated[
        str | None,
        typer.Option(metavar="WHEN", help="Recorded calls instead, from 2h, 1d ago on, or from an instant."),
    ] = None,
    kafka: Annotated[
        str,
        typer.Option(envvar="THROUGHLINE_KAFKA", metavar="HOST:PORT", callback=checked, help="Where records are."),
    ] = "127.0.0.1:9092",
    page_file: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Also write a page.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a program instead.")] = False,
    show_numbers: Annotated[bool, typer.Option("--show-numbers", help="Callers' numbers and places in clear.")] = False,
    region: Annotated[Path, typer.Option(metavar="DIR", help="The region's folder.")] = _REGION,
    zone: Annotated[str, typer.Option(metavar="ZONE", help="The region's time zone.")] = "America/New_York",
) -> None:
    """Run a candidate beside the live bundle over the same calls and say what changes; nothing live is touched.

    Newly diverted, no longer diverted, slower; by rule, place and PSAP, with examples; and what the guards and breakers
    would have done. The same bundles and calls give the same report, whose SHA-256 two people can compare. Exit code 1
    where something grave is found: where the breakers would stop the bundle. How far it is stands on standard error.

    Without --live and --firewall the candidate stands beside the built-in bundle, which diverts nobody.

    Examples: throughline policy replay nuisance.yaml --html replay.html;
    throughline policy replay nuisance.yaml --live before.yaml --corpus storm;
    throughline policy replay nuisance.yaml --firewall 127.0.0.1:7100 --recorded 7d --json
    """
    time_zone = _zone(zone)
    if page_file is not None and not page_file.resolve().parent.is_dir():
        refuse(f"cannot write {page_file}: there is no such folder; make it, or name another file", EXIT_FILE)
    candidate = _candidate(file)
    standing = _live(live, firewall)
    places = _region(region)
    progress = Progress(time.monotonic, lambda line: typer.echo(line, err=True))
    what, calls = _calls(corpus, trace, recorded, kafka, region, places, time_zone, progress)
    desks = frozenset(places.directory.lines)
    try:
        live_side = Judging(standing, Evaluation(standing), desks, time.thread_time_ns)
        candidate_side = Judging(candidate, Evaluation(candidate), desks, time.thread_time_ns)
    except BundleUnfit as why:
        refuse(f"{why.rule_id} cannot be evaluated: {plain(why.why)}", EXIT_REFUSED)
    difference = replay(live_side, candidate_side, progress.through(calls, "calls are replayed"))
    result = Replayed(standing, candidate, what, difference, findings(difference, candidate), show_numbers, time_zone)
    if page_file is not None:
        try:
            page_file.write_text(html(result), "utf-8")
        except OSError as error:
            refuse(f"cannot write {page_file}: {error.strerror}", EXIT_FILE)
    if as_json:
        typer.echo(json.dumps(result.as_json(), indent=2))
    else:
        Console(highlight=False, width=None if sys.stdout.isatty() else _WIDE).print(page(result))
        if page_file is not None:
            typer.echo(f"the page is {page_file}")
    raise typer.Exit(EXIT_REFUSED if result.grave else 0)


def _candidate(file: Path) -> Bundle:
    """The candidate, checked as `policy check` does before anything else looks at it."""
    try:
        content = confinement.content_of(file)
    except confinement.CannotRead as why:
        refuse(str(why), EXIT_FILE)
    found = confinement.check(content, "", _REGION)
    if found.errors:
        for remark in found.errors:
            typer.echo(plain(remark.told(str(file)).replace("\n    ", "; ")), err=True)
        refuse("the candidate is refused, so there is nothing to replay", EXIT_REFUSED)
    return seals.bundle_of(content)


def _live(file: Path | None, firewall: str) -> Bundle:
    if file is not None:
        try:
            return seals.bundle_of(confinement.content_of(file))
        except (confinement.CannotRead, seals.BadSeal) as why:
            refuse(f"--live {file}: {why}", EXIT_FILE)
    if not firewall:
        return built_in()
    content = asking.live_bundle(asking.addresses(firewall))
    try:
        return seals.bundle_of(content) if content else built_in()
    except seals.BadSeal as why:
        refuse(f"the firewall's bundle cannot be read here: {why}", EXIT_REFUSED)


def _calls(
    corpus: corpora.Corpus | None,
    trace: Path | None,
    recorded: str | None,
    kafka: str,
    folder: Path,
    region: Region,
    zone: tzinfo,
    progress: Progress,
) -> tuple[str, list[Call]]:
    """What is replayed, in words, and the calls."""
    if sum(each is not None for each in (corpus, trace, recorded)) > 1:
        raise typer.BadParameter("expected one of them", param_hint="--corpus, --trace and --recorded")
    try:
        if recorded is not None:
            return f"calls recorded since {recorded}", asyncio.run(
                recordings.recorded_calls(kafka, parse_since(recorded, wall_ms()), progress)
            )
        if trace is not None:
            offered = corpora.read_calls(trace)
            return f"the calls of {trace.name}", list(corpora.calls_of(offered, region, zone))
        named = corpus or corpora.Corpus.DAY
        offered = corpora.named(named, folder)
        return corpora.WHAT[named], list(corpora.calls_of(offered, region, zone))
    except BadInstant as bad:
        raise typer.BadParameter(str(bad), param_hint="--recorded") from None
    except NoJournal as trouble:
        refuse(f"cannot read `screenings` at {kafka}: {trouble}", EXIT_UNAVAILABLE)
    except (corpora.BadCorpus, OSError) as why:
        refuse(f"cannot read the calls: {why}", EXIT_FILE)


def _region(folder: Path) -> Region:
    try:
        return corpora.read_region(folder)
    except (OSError, RegionRefused) as why:
        refuse(f"{folder} holds no region that can be used: {why}", EXIT_FILE)


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise typer.BadParameter(
            f"expected a zone such as America/New_York, got {name!r}", param_hint="--zone"
        ) from None
