"""What stands of policies, as a chain of whole states: which bundle is live, and what may come after what. Pure.

A state counts only as the next one of what stood when it landed, so of two firewalls that write at once the first
counts, for every reader; the other finds its wish unfulfilled and asks again. Keys are written once (`PolicyState` in
policy.proto), so compaction changes nothing of that. What a state may change of the one before is `flaw`: a bundle
comes live by a higher version, or is the last good one again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from services.policy.files.canonical import Action, Order, Signature
from services.policy.files.signing import ORDER_VALID_MS, SKEW_MS
from services.policy.life.latest import NONE_YET, Latest

QUARANTINED_MAX: Final = 200
WHY_CHARS_MAX: Final = 256


class Stage(StrEnum):
    """What becomes of the candidate."""

    NONE = "none"
    SHADOW = "shadow"
    CANARY = "canary"


@dataclass(frozen=True, slots=True)
class Pointer:
    """One bundle, by its version and the SHA-256 of its file."""

    version: int
    digest: str


BUILT_IN_POINTER: Final = Pointer(0, "")


@dataclass(frozen=True, slots=True)
class Warrant:
    """An order with its signatures, as it was followed: by it a firewall that only reads sees who wanted this."""

    order: Order
    signatures: tuple[Signature, ...] = ()


@dataclass(frozen=True, slots=True)
class State:
    """All that stands; see policy.proto."""

    serial: int = 0
    live: Pointer = BUILT_IN_POINTER
    last_good: Pointer = BUILT_IN_POINTER
    candidate: Pointer | None = None
    stage: Stage = Stage.NONE
    step: int = 0
    since_ms: int = 0
    quarantined: tuple[str, ...] = ()
    bypass: bool = False
    latest: Latest = NONE_YET
    at_ms: int = 0
    by: str = ""
    why: str = ""
    warrants: tuple[Warrant, ...] = ()
    """Of what may divert: the live bundle, the last good one, a candidate in its canary; and the bypass's last."""


class OrderRefused(Exception):
    """An order that is not followed; the message says why and what to do."""


def flaw(before: State, after: State) -> str:
    """Why `after` does not follow `before`; empty where it does."""
    if after.serial != before.serial + 1:
        return f"serial {after.serial} after {before.serial}"
    if after.live not in (before.live, before.last_good, BUILT_IN_POINTER) and (
        after.live.version <= before.live.version
    ):
        return f"version {after.live.version} after {before.live.version}: versions only rise"
    if after.candidate is not None and after.candidate.version <= after.live.version:
        return f"candidate {after.candidate.version} is no newer than {after.live.version}"
    if (after.candidate is None) != (after.stage is Stage.NONE):
        return "a stage without a candidate, or the other way round"
    standing = {after.live.digest} | ({after.candidate.digest} if after.candidate is not None else set())
    if standing & set(after.quarantined):
        return "what is quarantined stands"
    if after.latest.made_ms < _barring(before, after.at_ms).made_ms:
        return "an older order after a newer one"
    return ""


def obey(
    state: State, order: Order, by: str, now_ms: int, canary_done: bool, signatures: tuple[Signature, ...] = ()
) -> State | None:
    """What stands once the order is followed; None where that is so already. Raises OrderRefused.

    `canary_done`: the candidate has run through its plan. Signatures are the caller's to check.
    """
    if state.latest.last(order):
        return None
    if _barring(state, now_ms).bars(order):
        raise OrderRefused(
            "this order was followed already, or a later order; look with `throughline policy status`, and order anew"
        )
    if not now_ms - ORDER_VALID_MS < order.made_ms <= now_ms + SKEW_MS:
        raise OrderRefused(f"made at {order.made_ms}, and it is {now_ms} here: order anew, or set the clock right")
    said = order.action.name.lower().replace("_", " ") + (f" {order.version}" if order.version else "")
    said = f"{'forced ' if order.force else ''}{said}{': ' if order.why else ''}{order.why}"[:WHY_CHARS_MAX]
    next_one = replace(
        state,
        serial=state.serial + 1,
        latest=state.latest.after(order),
        at_ms=now_ms,
        by=by[:WHY_CHARS_MAX],
        why=said,
    )
    match order.action:
        case Action.BYPASS_ON | Action.BYPASS_OFF:
            after = replace(next_one, bypass=order.action is Action.BYPASS_ON)
        case Action.REVERT:
            after = _reverted(next_one, state, now_ms)
        case _:
            after = _advanced(next_one, state, order, now_ms, canary_done)
    return warranted(after, Warrant(order, signatures))


def warranted(after: State, new: Warrant | None = None) -> State:
    """The same, with the warrants of what stands in it and no other; `new` is the one by which it came about."""
    standing = {
        (Action.PROMOTE, after.live.digest),
        (Action.PROMOTE, after.last_good.digest),
        (Action.CANARY, after.candidate.digest if after.candidate is not None and after.stage is Stage.CANARY else ""),
    }
    found: dict[tuple[Action, str], Warrant] = {}
    for each in (*after.warrants, *([new] if new is not None else [])):
        action = each.order.action
        if action in (Action.BYPASS_ON, Action.BYPASS_OFF):
            found[Action.BYPASS_ON, ""] = each  # one switch, and its last word
        elif each.order.digest and (action, each.order.digest) in standing:
            found[action, each.order.digest] = each
    return replace(after, warrants=tuple(found.values()))


def _barring(state: State, now_ms: int) -> Latest:
    """What bars earlier orders. One that a clock of the future made bars none: the bypass could not be switched on for
    as long as that clock was ahead."""
    return state.latest if state.latest.made_ms <= now_ms + SKEW_MS else NONE_YET


def tripped(state: State, digest: str, why: str, by: str, now_ms: int) -> State | None:
    """What stands once a bundle is quarantined, and dropped where it is the candidate or live; None where it is so.

    The built-in one cannot be: behind it there is nothing.
    """
    if not digest or digest in state.quarantined:
        return None
    quarantined = (*state.quarantined, digest)[-QUARANTINED_MAX:]
    told = f"tripped: {why}"[:WHY_CHARS_MAX]
    after = replace(state, serial=state.serial + 1, at_ms=now_ms, by=by, why=told, quarantined=quarantined)
    if state.live.digest == digest:
        back = state.last_good if state.last_good.digest not in quarantined else BUILT_IN_POINTER
        return warranted(_without_candidate(replace(after, live=back, last_good=BUILT_IN_POINTER), now_ms))
    if state.candidate is not None and state.candidate.digest == digest:
        after = _without_candidate(after, now_ms)
    return warranted(replace(after, last_good=BUILT_IN_POINTER) if state.last_good.digest == digest else after)


def stepped(state: State, candidate: Pointer, step: int, by: str, now_ms: int) -> State | None:
    """What stands once that candidate's canary is at that step; None where it is there already, or is no more."""
    if state.stage is not Stage.CANARY or state.candidate != candidate or state.step >= step:
        return None
    told = f"canary step {step + 1}"
    return replace(state, serial=state.serial + 1, step=step, since_ms=now_ms, at_ms=now_ms, by=by, why=told)


def _reverted(after: State, before: State, now_ms: int) -> State:
    """A canary's candidate answers calls, and came last: it goes first. One in shadow answers nobody, so who calls for
    the way back means what is live."""
    answers = before.candidate is not None and before.stage is Stage.CANARY
    if answers or (before.candidate is not None and before.live == BUILT_IN_POINTER):
        return _without_candidate(after, now_ms)
    if before.live == BUILT_IN_POINTER:
        raise OrderRefused("the built-in policy is live already: there is nothing to go back to; bypass is stronger")
    return _without_candidate(replace(after, live=before.last_good, last_good=BUILT_IN_POINTER), now_ms)


def _advanced(after: State, before: State, order: Order, now_ms: int, canary_done: bool) -> State:
    pointer = Pointer(order.version, order.digest)
    if order.version <= before.live.version:
        raise OrderRefused(
            f"version {order.version} is no newer than {before.live.version}, which is live: versions only rise; "
            "`revert` goes back, or hand the same rules in under a new version"
        )
    if order.digest in before.quarantined:
        if not order.force:
            raise OrderRefused(f"version {order.version} is quarantined; mend it under a new version, or --force it")
        after = replace(after, quarantined=tuple(each for each in before.quarantined if each != order.digest))
    if order.action is Action.SHADOW:
        return replace(after, candidate=pointer, stage=Stage.SHADOW, step=0, since_ms=now_ms)
    if order.action is Action.CANARY:
        if not order.force and before.candidate != pointer:
            raise OrderRefused(
                f"version {order.version} has not been in shadow: `throughline policy shadow` comes first"
            )
        return replace(after, candidate=pointer, stage=Stage.CANARY, step=0, since_ms=now_ms)
    through = before.candidate == pointer and before.stage is Stage.CANARY and canary_done
    if not order.force and not through:
        raise OrderRefused(f"version {order.version} has not run through its canary; `status` says what it waits for")
    return _without_candidate(replace(after, live=pointer, last_good=before.live), now_ms)


def _without_candidate(state: State, now_ms: int) -> State:
    return replace(state, candidate=None, stage=Stage.NONE, step=0, since_ms=now_ms)
