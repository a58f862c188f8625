"""A policy's whole life on real processes: a Kafka, two firewalls, operators with their commands, callers who call.

One installation serves all of it, since it takes long to come up, and so does the climb of one policy. Each test waits
for what it wants to see, within a limit of its own.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

import pytest
import pytest_asyncio
from throughline.v1 import policy_pb2, screening_pb2

from loadtest.diary import wall_ms
from services.places.directory import NUISANCE_DESK
from services.policy.bundle import Bundle
from services.policy.files.reading import read_bundle
from services.policy.life.canary import under
from services.wire import screenings
from services.wire.screenings import Value
from tests.system.policy_office import FIREWALLS, NUISANCE, Office

CANARY: Final = policy_pb2.STAGE_CANARY

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

LEAST, LOWER = 6, 3
"""From so manieth call of ten minutes on a nuisance caller is diverted, and would be by another policy."""
AREAS_MANY: Final = 30
"""So many towns, the largest, are about half of all callers."""
SHADOWED_MIN: Final = 5
LAST_STEP_CALLS: Final = 8
"""Heard of by a firewall in the last step before it is killed."""
DRILLED_WITHIN_S: Final = 65.0
"""The first drill comes within a minute of a firewall's start."""
SETTLES_MS: Final = 1_000
"""Within it a change of what stands has reached every firewall and its evaluator."""
INSTANT_MS: Final = 250
"""A call that came so shortly before a change may have been answered after it."""

NUISANCE_POLICY: Final = """\
name: nuisance
version: {version}
author: policy desk
lists:
  nuisance: {kind: number, items: ["+16175550190", "+16175550191"]}
canary:
  - {share: 0.4, calls_min: 12, minutes_min: 0.02}
  - {areas: [AREAS], calls_min: 20, minutes_min: 0.02}
  - {share: 1.0, calls_min: 30, minutes_min: 0.02}
rules:
  - id: nuisance-repeats
    reason: nuisance_number
    when: number in lists.nuisance && number_calls_600s >= COUNT
    verdict: {divert: nuisance-desk}
    forecast_share: 0.05
    expires: 2099-01-01T00:00:00Z
    owner: policy desk
"""

BUSY_NETWORKS: Final = """\
name: busy-networks
version: {version}
author: policy desk
canary: [{share: 1.0, calls_min: 500, minutes_min: 60}]
rules:
  - id: busy-network
    reason: busy_network
    when: source_calls_3600s >= 20
    verdict: {flag: 5}
    forecast_share: 0.001
    expires: 2099-01-01T00:00:00Z
    owner: policy desk
"""
"""Its author counted calls of a minute and wrote the window of an hour: it speaks for everybody."""


@dataclass
class Climb:
    """How one policy went from a file to live, and what operators were told on the way."""

    bundle: Bundle
    said: dict[str, str] = field(default_factory=dict)
    """By command; `status` by its step: `status 1`, where the canary stood there for as long as it was asked."""
    killed_ms: int = 0
    """When firewall-2 was killed, in the last step."""
    back_ms: int = 0
    heard_before: int = 0
    """How many calls of the last step firewall-2 had heard of then."""
    after: policy_pb2.PolicyServiceStatusResponse | None = None
    """What it said once it was back and had read what it had missed."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def office(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Office]:
    """Everything runs, and callers call."""
    async with Office(tmp_path_factory.mktemp("policies")) as office:
        yield office


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def climb(office: Office) -> Climb:
    """The policy about nuisance callers is live, by every gate on the way."""
    path, version = office.write("nuisance", policy_text(office))
    climb = Climb(read_bundle(path.read_bytes()))
    said, ann = climb.said, office.key("ann")
    said["submit"] = await office.hand_in(path, "ann", "bob")
    said["shadow"] = await office.well("shadow", version, "--key", ann, "--why", "first look")
    await office.until(lambda status: status.canary.calls >= SHADOWED_MIN)
    said["canary"] = await office.well("canary", version, "--key", ann)
    await tell_status(office, said, 0)
    said["check"], said["diff before"] = await asyncio.gather(
        office.well("check", path, "--corpus", "none"), office.well("diff", "live", path)
    )
    await office.until(lambda status: status.state.step == 1, "firewall-1")
    said["status 2"], early = await asyncio.gather(office.well("status"), office.ends("promote", version, "--key", ann))
    assert early.code == 1
    said["early"] = early.beside
    await office.until(lambda status: status.state.step == 2, "firewall-1")
    await tell_status(office, said, 2)
    await one_is_killed(office, climb)
    await office.until(lambda status: not status.canary.waits_for, "firewall-2")
    said["promote"] = await office.well("promote", version, "--key", ann, firewalls=("firewall-2", "firewall-1"))
    await office.until(lambda status: status.serving_label == climb.bundle.label)
    return climb


async def tell_status(office: Office, said: dict[str, str], step: int) -> None:
    """What `status` says at this step, unless the canary has climbed on meanwhile."""
    told = await office.well("status")
    if (await office.status()).state.step == step:
        said[f"status {step + 1}"] = told


def policy_text(office: Office, least: int = LEAST) -> str:
    """The nuisance callers' policy: they are diverted from so manieth call on."""
    by_people = sorted(office.stage.region.towns, key=lambda town: -town["properties"]["population"])
    areas = ", ".join(town["properties"]["town"] for town in by_people[:AREAS_MANY])
    return NUISANCE_POLICY.replace("AREAS", areas).replace("COUNT", str(least))


async def one_is_killed(office: Office, climb: Climb) -> None:
    """`kill -9` of a firewall in the middle of the last step, which no canary leaves by itself; then it comes back."""
    before = await office.until(lambda status: status.canary.calls >= LAST_STEP_CALLS, "firewall-2")
    climb.heard_before, climb.killed_ms = before.canary.calls, wall_ms()
    await office.stage.installation.kill("firewall-2")
    await office.stage.installation.restart("firewall-2")
    climb.after = await office.until(lambda status: status.canary.calls >= climb.heard_before, "firewall-2")
    climb.back_ms = wall_ms()


async def test_a_policy_goes_from_a_file_to_live_and_each_command_says_how_far_it_is(
    office: Office, climb: Climb
) -> None:
    """L8: checked, signed by two, handed in, in shadow, step by step among real calls, and live on every firewall."""
    said, version, digest = climb.said, climb.bundle.version, climb.bundle.digest[:8]
    assert f"{climb.bundle.label} can be used" in said["check"]
    assert "+ rule nuisance-repeats: " in said["diff before"]
    assert said["diff before"].endswith("it can divert more, so two people sign it\n")
    assert "signed by ann, bob; it needs 2" in said["submit"]
    stands = f"live is the built-in bundle, candidate version {version} ({digest}) in"
    assert said["shadow"] == f"{stands} shadow\n"
    assert "has not run through its canary" in said["early"]
    assert said["canary"] == f"{stands} canary, step 1\n"
    told_at = [step for step in (1, 2, 3) if f"status {step}" in said]
    assert 3 in told_at, "no canary leaves its last step by itself"
    for step in told_at:
        told = said[f"status {step}"]
        assert told.count(f"{stands} canary, step {step}\n") == 2, told
        assert told.count(f"canary step {step} of 3: ") == 2, told
        assert "serves built-in-" in told and "NOT" not in told
    assert said["promote"] == f"live is version {version} ({digest})\n"
    status, history = await asyncio.gather(office.well("status"), office.well("history"))
    assert status.count(f"serves {climb.bundle.label}\n") == 2, status
    changes = [line.partition("; ")[0].partition(" by ")[2] for line in reversed(history.splitlines())]
    by_itself = [change.partition(": ") for change in changes[2:4]]
    print(f"status was told at steps {told_at}")
    assert changes[:2] == [f"ann: shadow {version}: first look", f"ann: canary {version}"]
    assert [(who[:9], what) for who, _, what in by_itself] == [
        ("firewall-", "canary step 2"),
        ("firewall-", "canary step 3"),
    ]
    assert changes[4] == f"ann: promote {version}"


async def test_a_canary_answers_a_share_of_calls_then_areas_then_all(office: Office, climb: Climb) -> None:
    """Which bundle answered each call on each firewall follows from the call and the step alone."""
    changes = await office.states()
    begun = [each.at_ms for each in changes if each.stage == CANARY and each.candidate.sha256 == climb.bundle.digest]
    live_ms = next(change.at_ms for change in changes if change.live.version == climb.bundle.version)
    records = [each for each in await office.recorded() if each.bundle and each.inputs and not each.shadow]
    for step, (from_ms, to_ms) in enumerate(zip(begun, [*begun[1:], live_ms], strict=True)):
        answered: dict[bool, int] = {True: 0, False: 0}
        by_area = 0
        for each in records:
            away = each.firewall == "firewall-2" and climb.killed_ms <= each.at_ms < climb.back_ms + SETTLES_MS
            if away or not from_ms + SETTLES_MS <= each.at_ms < to_ms - INSTANT_MS:
                continue
            area = str(screenings.inputs_of(each)["area"])
            expected = under(climb.bundle.canary, step, climb.bundle.digest, each.call_id, area)
            assert (each.bundle == climb.bundle.digest) is expected, each
            answered[expected] += 1
            by_area += expected and not under(climb.bundle.canary, step, climb.bundle.digest, each.call_id, "")
        print(
            f"step {step + 1}: {to_ms - from_ms} ms, {answered[True]} by the candidate, {answered[False]} by the live"
        )
        assert answered[True] > 0
        assert (answered[False] > 0) is (step < 2)
        assert (by_area > 0) is (step == 1)


async def test_a_firewall_that_is_killed_in_the_middle_of_a_canary_takes_up_where_it_stands(climb: Climb) -> None:
    """Its candidate, its step and what the candidate has done in it, from the topics alone."""
    assert climb.after is not None
    assert (climb.after.state.step, climb.after.state.candidate.sha256) == (2, climb.bundle.digest)
    assert climb.after.canary.calls >= climb.heard_before >= LAST_STEP_CALLS
    assert climb.after.state.since_ms < climb.killed_ms
    print(f"killed with {climb.heard_before} calls of the step, back after {climb.back_ms - climb.killed_ms} ms")


async def test_a_call_is_explained_by_the_record_of_a_real_firewall(office: Office, climb: Climb) -> None:
    """Rule, bundle, inputs and counts; evaluated again by what is recorded, the same verdict."""
    diverted = await office.call(lambda: office.nuisance(climb.back_ms), "diverting", "connected")
    connected = next(entry for entry in office.seen[diverted] if entry["event"] == "connected")
    assert connected["psap_id"] == NUISANCE_DESK
    first = next(iter(office.seen))
    why, why_first = await asyncio.gather(office.well("explain", diverted), office.well("explain", first))
    for words in (
        "leg 1: divert to nuisance-desk by nuisance-repeats",
        f"policy {climb.bundle.label}, sha256 {climb.bundle.digest}",
        "inputs: area=Framingham, ",
        "number_calls_600s=",
        "evaluated again: divert to nuisance-desk by nuisance-repeats, the same",
        f"(line {climb.bundle.rules[0].line}, policy desk): number in lists.nuisance && number_calls_600s >= {LEAST}",
    ):
        assert words in why, why
    assert "policy built-in-1-" in why_first
    assert "evaluated again: pass, the same" in why_first
    assert "NOT" not in why + why_first


async def test_what_real_firewalls_recorded_is_replayed_beside_what_is_live(office: Office, climb: Climb) -> None:
    """Every call by the inputs and counts that it was judged by: what would come of a lower limit is exact."""
    path, _ = office.write("wider", policy_text(office, least=LOWER))
    there = real_calls(await office.recorded())
    ended = await office.ends("replay", path, "--recorded", "10m", "--kafka", office.stage.kafka, "--json")
    told = json.loads(ended.said)
    assert ended.code == 0, told["findings"]
    assert told["live"]["sha256"] == climb.bundle.digest
    assert len(there) <= told["corpus"]["calls"] <= len(real_calls(await office.recorded()))
    counts = [int(given["number_calls_600s"]) for given in there.values() if given["number"] == NUISANCE]
    newly = sum(LOWER <= count < LEAST for count in counts)
    assert told["changes"] == dict.fromkeys(told["changes"], 0) | {
        "same": told["corpus"]["calls"] - newly,
        "newly_diverted": newly,
    }
    assert newly >= LEAST - LOWER and max(counts) >= LEAST
    print(f"replayed {told['corpus']['calls']} recorded calls, {newly} newly diverted")


def real_calls(records: list[screening_pb2.Screening]) -> dict[str, dict[str, Value]]:
    """The calls that were screened, and what each was first judged by."""
    found: dict[str, dict[str, Value]] = {}
    for each in records:
        if each.inputs and not each.shadow:
            found.setdefault(each.call_id, screenings.inputs_of(each))
    return found


async def test_a_canary_far_from_its_forecast_goes_back_by_itself(office: Office, climb: Climb) -> None:
    """Nobody has to look: the candidate is out everywhere, what is live goes on, and it is said why."""
    path, version = office.write("busy-networks", BUSY_NETWORKS)
    assert "signed by ann; it needs 1" in await office.hand_in(path, "ann")
    ann = office.key("ann")
    await office.well("shadow", version, "--key", ann)
    await office.well("canary", version, "--key", ann)
    digest = read_bundle(path.read_bytes()).digest
    await office.until(lambda status: digest in status.state.quarantined)
    status, again = await asyncio.gather(office.well("status"), office.ends("shadow", version, "--key", ann))
    assert status.count(f"live is version {climb.bundle.version} ({climb.bundle.digest[:8]}), 1 in quarantine\n") == 2
    assert again.code == 1 and "is quarantined; mend it under a new version" in again.beside
    begun = next(each for each in await office.states() if each.stage == CANARY and each.candidate.sha256 == digest)
    tripped = next(each for each in await office.states() if digest in each.quarantined)
    assert tripped.why.startswith("tripped: rule busy-network spoke for ") and "its forecast is 0.001" in tripped.why
    flagged = {each.call_id for each in await office.recorded() if each.bundle == digest and not each.shadow}
    print(f"reverted {tripped.at_ms - begun.at_ms} ms after its canary began, {len(flagged)} calls flagged")
    assert 5 < len(flagged) < 15


async def test_a_file_on_the_machine_lets_every_call_pass(office: Office, climb: Climb) -> None:
    """L5: neither Kafka nor a key; gone with the file."""
    switch = office.folder / "bypass"
    switch.touch()
    await office.until(lambda status: list(status.bypassed_by) == ["file"])
    passed = await office.passed()
    assert await office.counted("throughline_policy_bypassed", 2, by="file") == 2
    status = await office.ends("status")
    assert (status.code, status.said.count("BYPASS on here by file: every call passes")) == (1, 2), status.said
    kept = (await office.explained("firewall-1", passed))[0]
    assert (kept.kept_from, kept.proposed.divert.desk) == ("bypass", NUISANCE_DESK)
    switch.unlink()
    await office.until(lambda status: not status.bypassed_by)
    await office.diverted()


async def test_without_kafka_one_that_starts_screens_by_its_last_good_and_one_message_is_the_bypass(
    office: Office, climb: Climb
) -> None:
    """J6, L8: what is on its own disk; the order of one person holds at once, and everywhere when Kafka is back."""
    stage = office.stage
    await asyncio.to_thread(stage.cluster.kill, 1)
    await stage.installation.kill("firewall-2")
    since_ms = wall_ms()
    await stage.installation.restart("firewall-2")
    status = await office.status("firewall-2")
    assert status.serving_label == climb.bundle.label
    assert f"policy: `policy` has not been read yet; {climb.bundle.label} goes on" in status.remarks
    screened = await office.screened("firewall-2", climb.bundle.digest, since_ms)
    assert screened.verdict.policy == climb.bundle.label
    on = await office.well("bypass", "on", "--key", office.key("bob"), "--why", "Kafka is away")
    assert on.count("BYPASS: every call passes") == on.count("; on this firewall alone until the topic can ") == 2, on
    await asyncio.gather(office.passed(), asyncio.to_thread(stage.cluster.start_again, 1))
    await office.until(lambda status: not any("alone" in each for each in status.remarks))
    assert (await office.states())[-1].why == "bypass on: Kafka is away"
    off = await office.well("bypass", "off", "--key", office.key("bob"))
    assert off.count("; everywhere") == 2, off
    await office.diverted()


async def test_the_bypass_is_drilled_by_the_system_itself(office: Office, climb: Climb) -> None:
    """Its last success is a metric, and `status` says when."""
    await office.counted("throughline_policy_bypass_drill_success_timestamp_seconds", 1.0, DRILLED_WITHIN_S)
    assert await office.stage.counted("firewall", "throughline_policy_bypass_drills_failed_total") == 0
    drilled_ms = [(await office.status(name)).bypass_drilled_at_ms for name in FIREWALLS]
    assert max(drilled_ms) > 0
