"""What stands, in words: one line a state, a paragraph a firewall."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from throughline.v1 import policy_pb2

from services.readers.wording import plain

_STAGES: Final = {policy_pb2.STAGE_SHADOW: "shadow", policy_pb2.STAGE_CANARY: "canary"}


def bundle_word(pointer: policy_pb2.PolicyPointer) -> str:
    """A bundle by its version and the beginning of its digest."""
    return f"version {pointer.version} ({plain(pointer.sha256[:8])})" if pointer.version else "the built-in bundle"


def state_line(state: policy_pb2.PolicyState) -> str:
    """All that stands, in one line."""
    words = [f"live is {bundle_word(state.live)}"]
    if state.HasField("candidate"):
        stage = _STAGES.get(state.stage, "no stage")
        step = f", step {state.step + 1}" if state.stage == policy_pb2.STAGE_CANARY else ""
        words.append(f"candidate {bundle_word(state.candidate)} in {stage}{step}")
    if state.bypass:
        words.append("BYPASS: every call passes")
    if state.quarantined:
        words.append(f"{len(state.quarantined)} in quarantine")
    return ", ".join(words)


def after_revert(states: Sequence[policy_pb2.PolicyState]) -> str:
    """What another revert would do: who has dropped a candidate may have meant what is live. Empty where nothing is
    left to leave."""
    live = max(states, key=lambda each: each.serial, default=policy_pb2.PolicyState())
    if not live.live.version:
        return ""
    told = f"{bundle_word(live.live)} answers calls still"
    return f"{told}: to leave it too, revert again; that goes back to {bundle_word(live.last_good)}"


def change_line(state: policy_pb2.PolicyState) -> str:
    """One change of the history."""
    who = f" by {plain(state.by)}" if state.by else ""
    why = f": {plain(state.why)}" if state.why else ""
    return f"{state.serial:>5}  {instant(state.at_ms)}{who}{why}; {state_line(state)}"


def status_lines(status: policy_pb2.PolicyServiceStatusResponse) -> Iterator[str]:
    """What one firewall says of itself."""
    yield state_line(status.state)
    serving = plain(status.serving_label) or "the built-in bundle"
    yield f"serves {serving}" + ("" if _serves_live(status) else ", which is NOT the live one")
    if status.bypassed_by:
        yield f"BYPASS on here by {', '.join(plain(each) for each in status.bypassed_by)}: every call passes"
    drilled = instant(status.bypass_drilled_at_ms) if status.bypass_drilled_at_ms else "never yet"
    yield f"bypass last drilled: {drilled}"
    if status.state.stage == policy_pb2.STAGE_CANARY:
        canary = status.canary
        waits = f"; waits: {plain(canary.waits_for)}" if canary.waits_for else "; the next step may come"
        yield (
            f"canary step {canary.step + 1} of {canary.steps}: {canary.calls:,} of {canary.calls_min:,} calls, "
            f"{canary.minutes:.1f} of {canary.minutes_min:g} min, {canary.diverted:,} diverted{waits}"
        )
    if status.state.stage == policy_pb2.STAGE_SHADOW:
        seen = status.canary
        yield f"in shadow: asked about {seen.calls:,} calls, its rules would divert {seen.diverted:,}, guards apart"
    for bundle in sorted(status.bundles, key=lambda each: each.version):
        who = f" by {plain(bundle.author)}" if bundle.author else ""
        yield (
            f"there is version {bundle.version} ({plain(bundle.sha256[:8])}), {plain(bundle.name)}{who}, "
            f"{bundle.size_bytes:,} bytes, {instant(bundle.at_ms)}"
        )
    for remark in status.remarks:
        yield f"remark: {plain(remark)}"


def is_well(status: policy_pb2.PolicyServiceStatusResponse) -> bool:
    """Whether this firewall serves what is live and screens."""
    return _serves_live(status) and not status.bypassed_by and not status.state.bypass


def _serves_live(status: policy_pb2.PolicyServiceStatusResponse) -> bool:
    return status.serving_sha256 == status.state.live.sha256 or not status.state.live.version


def instant(at_ms: int) -> str:
    """In UTC, to the second."""
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"({at_ms} ms)"
