"""What is wrong with a bundle, before any call meets it. By the evaluator that screens, and by reasoning.

An error is what could keep a call from its PSAP that should reach it: a divert without a ground, or always; a rule that
lets calls through and never can; a reason for which two may divert; a cost that no call may have. What merely does
nothing is a warning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from services.policy.attributes import ATTRIBUTES, Value
from services.policy.bundle import Bundle, Pass, Rule
from services.policy.checks import corpus as calls
from services.policy.checks import hours
from services.policy.checks.finding import Finding, Report
from services.policy.checks.grounds import groundless
from services.policy.checks.reasoning import WAYS_MAX, Room, ways
from services.policy.checks.shadows import shadows
from services.policy.files.strict_yaml import NAME_CHARS_MAX
from services.policy.language.patterns import PATTERNS_MAX
from services.policy.language.read import NotInLanguage, read
from services.policy.language.tokens import RESERVED
from services.policy.language.tree import Member, Node, walk
from services.policy.verdicts.evaluating import (
    TOO_LONG,
    BundleUnfit,
    Evaluation,
    kinds_of,
    patterns_of,
    too_long,
    too_many_patterns,
)

FINDINGS_MAX: Final = 200
"""Of each kind; what follows is counted in the last."""
SOON_MS: Final = 7 * 86_400_000
FIRST_SHARE_MAX: Final = 0.10
STEP_CALLS_MIN: Final = 10
STEP_MINUTES_MIN: Final = 5.0
"""With less a canary is one in name."""
_RULE_ID: Final = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_LIST_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_FLAGGED: Final = "_flagged"
_OF_THE_FIREWALL: Final = frozenset({"bypass", "built-in", "failed-open", "first_call", "no_desk", "reverted"})
"""Words of records for what no rule said."""


def check(bundle: Bundle, corpus: Sequence[Mapping[str, Value]] = (), *, wall_ms: int = 0) -> Report:
    """Every finding. `corpus` are inputs of calls, `wall_ms` the instant to check for, in milliseconds since 1970."""
    if too_long(bundle):
        return Report((Finding(0, "", TOO_LONG, "name long lists under `lists`, and write fewer rules"),))
    errors = [*_names(bundle)]
    warnings = [*_expiry(bundle, wall_ms), *_overlaps(bundle), *_canary(bundle)]
    errors += [*_forecasts(bundle, wall_ms), *_reasons(bundle, wall_ms)]
    trees: list[tuple[Rule, Node]] = []
    kinds = kinds_of(bundle)
    for rule in bundle.rules:
        try:
            trees.append((rule, read(rule.when, kinds)))
        except NotInLanguage as refused:
            at = f"`when`, line {refused.at.line}, column {refused.at.column}"
            errors.append(Finding(rule.line, rule.rule_id, f"{at}: {refused.what}", refused.instead))
    if len(engines := patterns_of(tree for _, tree in trees)) > PATTERNS_MAX:
        errors.append(Finding(0, "", too_many_patterns(len(engines)), "write fewer patterns"))
        return Report(_bounded(errors), _bounded(warnings))
    _truths(trees, Room({name: each.items for name, each in bundle.lists.items()}), errors, warnings)
    warnings += _unused(bundle, trees)
    warnings += _hours(trees)
    if len(trees) == len(bundle.rules):
        _evaluated(bundle, corpus, wall_ms, errors, warnings)
        warnings += calls.unheard_of(trees, bundle, corpus)
    return Report(_bounded(errors), _bounded(warnings))


def _bounded(found: Sequence[Finding]) -> tuple[Finding, ...]:
    in_order = sorted(found, key=lambda each: each.line)
    if len(in_order) <= FINDINGS_MAX:
        return tuple(in_order)
    more = len(in_order) - FINDINGS_MAX
    return (*in_order[:FINDINGS_MAX], Finding(0, "", f"and {more} findings more", "mend these first"))


def _names(bundle: Bundle) -> Iterator[Finding]:
    seen: dict[str, int] = {}
    for rule in bundle.rules:
        if not _RULE_ID.fullmatch(rule.rule_id) or rule.rule_id in RESERVED | _OF_THE_FIREWALL:
            yield Finding(
                rule.line, rule.rule_id[:64], "a rule cannot be called that", "write small letters, digits, - and _"
            )
        if rule.rule_id in seen:
            yield Finding(rule.line, rule.rule_id, f"line {seen[rule.rule_id]} has a rule of that name", "rename one")
        seen.setdefault(rule.rule_id, rule.line)
    for name, each in bundle.lists.items():
        if not _LIST_NAME.fullmatch(name) or name in RESERVED or name in ATTRIBUTES:
            yield Finding(each.line, "", f"a list cannot be called {name[:64]!r}", "write a name that nothing has yet")


def _expiry(bundle: Bundle, wall_ms: int) -> Iterator[Finding]:
    for rule in bundle.rules:
        if rule.expires_ms <= wall_ms:
            yield Finding(
                rule.line, rule.rule_id, "it has expired and is never true", "remove it, or write a later day"
            )
        elif wall_ms and rule.expires_ms <= wall_ms + SOON_MS:
            yield Finding(
                rule.line, rule.rule_id, "it expires within a week", "write a later day, if it is still wanted"
            )


def _canary(bundle: Bundle) -> Iterator[Finding]:
    """A plan by which a bundle is hardly tried before it answers everybody."""
    first = bundle.canary[0].share
    found = [f"its first step has {first:.0%} of all calls"] if first > FIRST_SHARE_MAX else []
    found += [
        f"step {number} may be over after {step.calls_min} calls and {step.minutes_min:g} minutes"
        for number, step in enumerate(bundle.canary, start=1)
        if step.calls_min < STEP_CALLS_MIN or step.minutes_min < STEP_MINUTES_MIN
    ]
    if found:
        yield Finding(
            0,
            "",
            f"its canary hardly tries it: {found[0]}",
            f"leave `canary` out, or begin with a share of {FIRST_SHARE_MAX:g} at most, and give each step "
            f"{STEP_CALLS_MIN} calls and {STEP_MINUTES_MIN:g} minutes at least",
        )


def _forecasts(bundle: Bundle, wall_ms: int) -> Iterator[Finding]:
    diverting = [rule for rule in bundle.rules if rule.diverts and rule.expires_ms > wall_ms]
    share = sum(rule.forecast_share for rule in diverting)
    if share > bundle.limits.diverted_share:
        yield Finding(
            0,
            "",
            f"its rules forecast to divert {share:.2%} of all calls; limit {bundle.limits.diverted_share:.2%}",
            "narrow the rules until their forecasts fit",
        )


def _reasons(bundle: Bundle, wall_ms: int) -> Iterator[Finding]:
    """Reasons that are flagged by one rule and diverted by another, each told once.

    A router is told of flags, and rules of its own might send calls elsewhere by them. For one reason only one of the
    two may: else breakers, which count what is diverted here, would see a part of it.
    """
    said: dict[str, Rule] = {}
    told: set[str] = set()
    for rule in bundle.rules:
        if isinstance(rule.verdict, Pass) or rule.expires_ms <= wall_ms or rule.reason in told:
            continue
        first = said.setdefault(rule.reason, rule)
        if first.diverts != rule.diverts:
            told.add(rule.reason)
            here, there = ("diverts", "flags") if rule.diverts else ("flags", "diverts")
            yield Finding(
                rule.line,
                rule.rule_id,
                f"it {here} for the reason {rule.reason}, for which {first.rule_id} of line {first.line} {there}",
                f"write another reason for the flag, such as {_flagged(rule.reason)}: routers are told of flags, and "
                "for each reason only one of the two may divert",
            )


def _flagged(reason: str) -> str:
    return f"{reason[: NAME_CHARS_MAX - len(_FLAGGED)]}{_FLAGGED}"


def _overlaps(bundle: Bundle) -> Iterator[Finding]:
    """Lists of one kind that have items in common."""
    first_in: dict[tuple[str, str], str] = {}
    common: dict[tuple[str, str], int] = {}
    for name, each in bundle.lists.items():
        for item in each.items:
            other = first_in.setdefault((each.kind, item), name)
            if other != name:
                common[other, name] = common.get((other, name), 0) + 1
    for (other, name), count in common.items():
        yield Finding(
            bundle.lists[name].line,
            "",
            f"lists {other} and {name} have {count} {'item' if count == 1 else 'items'} in common",
            "write each item in the one list that is meant",
        )


def _unused(bundle: Bundle, trees: Sequence[tuple[Rule, Node]]) -> Iterator[Finding]:
    used = {each.list_name for _, tree in trees for each in walk(tree) if isinstance(each, Member)}
    for name, each in bundle.lists.items():
        if name not in used:
            yield Finding(each.line, "", f"no rule asks list {name}", "remove it, or ask: ... in lists." + name)


def _truths(trees: Sequence[tuple[Rule, Node]], room: Room, errors: list[Finding], warnings: list[Finding]) -> None:
    """Never, always, without a ground, after another."""
    for rule, tree in trees:
        opened = ways(tree, room)
        if opened is None:
            if rule.diverts:
                errors.append(
                    Finding(
                        rule.line, rule.rule_id, f"it can be true in more than {WAYS_MAX} ways", "split it in several"
                    )
                )
            continue
        if not opened:
            kind = errors if isinstance(rule.verdict, Pass) else warnings
            kind.append(Finding(rule.line, rule.rule_id, "it is never true", "look for conditions that exclude others"))
        elif ways(tree, room, holds=False) == []:
            kind = errors if rule.diverts else warnings
            kind.append(Finding(rule.line, rule.rule_id, "it is always true", "write which calls it means"))
        found = groundless(opened, room) if rule.diverts else None
        if found is not None:
            what = f"it diverts merely for what a caller cannot help: {found.way[:200]}"
            errors.append(Finding(rule.line, rule.rule_id, what, found.instead))
    for rule, earlier in shadows(trees, room):
        loses = isinstance(rule.verdict, Pass) and not isinstance(earlier.verdict, Pass)
        what = f"it never speaks: whenever it is true, so is {earlier.rule_id} of line {earlier.line}, before it"
        (errors if loses else warnings).append(Finding(rule.line, rule.rule_id, what, "move it up, or remove it"))
    if room.left <= 0:
        warnings.append(
            Finding(0, "", "too much to look through: some that is never true or shadowed may not be told", "split it")
        )


def _hours(trees: Sequence[tuple[Rule, Node]]) -> Iterator[Finding]:
    for each in hours.shared(trees):
        names = ", ".join(rule.rule_id for rule in each.rules[:6])
        last = each.rules[-1]
        for what, odd in (("leave out", each.left_out), ("cover twice", each.twice)):
            if odd:
                instead = "hours are the region's own; 22 to 6 is hour >= 22 || hour < 6"
                yield Finding(last.line, last.rule_id, f"the hours of {names} {what} {hours.told(odd)}", instead)


def _evaluated(
    bundle: Bundle,
    corpus: Sequence[Mapping[str, Value]],
    wall_ms: int,
    errors: list[Finding],
    warnings: list[Finding],
) -> None:
    """By the real evaluator: whether it takes the bundle, and what it says of the corpus."""
    try:
        evaluation = Evaluation(bundle)
    except BundleUnfit as unfit:
        rule = bundle.rule(unfit.rule_id)
        errors.append(
            Finding(rule.line if rule else 0, unfit.rule_id, f"it cannot be evaluated: {unfit.why}", "write it simpler")
        )
        return
    if corpus:
        wrong, odd = calls.findings(evaluation, corpus, wall_ms)
        errors += wrong
        warnings += odd
