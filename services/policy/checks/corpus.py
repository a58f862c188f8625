"""What a bundle would have said of calls that came: each rule's share against its forecast, and failures.

By the evaluator that screens, so that what is accepted here is what it can take. Of what no call of the corpus has
it says so: such a rule was tried on nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from services.policy.attributes import Value
from services.policy.bundle import Bundle, Rule
from services.policy.checks.finding import Finding
from services.policy.language import plain, printing
from services.policy.language.tree import Binary, Literal, Matches, Member, Name, Node, Op, Text, walk
from services.policy.verdicts.evaluating import Evaluation

FORECAST_TIMES: Final = 2.0
"""A rule may speak for this many times the share that its author forecast."""
SPOKE_MIN: Final = 5
"""Fewer calls than this say nothing about a share."""
_KINDS_OF_CALLS: Final = ("device", "service")
"""Of these a corpus means to have all that come; of networks and trunks it has those of nowhere."""


def findings(
    evaluation: Evaluation, corpus: Sequence[Mapping[str, Value]], wall_ms: int
) -> tuple[list[Finding], list[Finding]]:
    """Errors and warnings."""
    rules = {rule.rule_id: rule for rule in evaluation.bundle.rules}
    spoke: Counter[str] = Counter()
    failed: dict[str, str] = {}
    psap_calls: Counter[Value] = Counter()
    psap_diverted: Counter[Value] = Counter()
    for call in corpus:
        decision = evaluation.decide(call, wall_ms)
        failed.update(decision.errors)
        psap = call.get("psap", "")
        psap_calls[psap] += 1
        if decision.rule_id is not None:
            spoke[decision.rule_id] += 1
            psap_diverted[psap] += rules[decision.rule_id].diverts
    errors: list[Finding] = []
    warnings = [_failing(rules[rule_id], why) for rule_id, why in failed.items()]
    for rule_id, count in spoke.items():
        beyond = _beyond(rules[rule_id], count, len(corpus))
        if beyond is not None:
            (errors if rules[rule_id].diverts else warnings).append(beyond)
    errors += _over_limits(evaluation, psap_calls, psap_diverted)
    return errors, warnings


def unheard_of(
    trees: Sequence[tuple[Rule, Node]], bundle: Bundle, corpus: Sequence[Mapping[str, Value]]
) -> Iterator[Finding]:
    """Devices and service URNs that a rule asks for, and no call of the corpus has; each told once a rule."""
    heard = {name: {call[name] for call in corpus} for name in _KINDS_OF_CALLS} if corpus else {}
    lists = {name: each.items for name, each in bundle.lists.items()}
    for rule, tree in trees:
        asked = {printing.text(node): (node, name) for node in walk(tree) if (name := _asks_for(node)) in heard}
        for text, (node, name) in asked.items():
            if not any(plain.holds(node, {name: value}, lists) for value in heard[name]):
                what = f"no call of the corpus has this {name}: {text[:200]}"
                yield Finding(rule.line, rule.rule_id, what, "replay it on what your own firewalls recorded")


def _asks_for(node: Node) -> str:
    """The attribute, where the node asks one whether it is something."""
    match node:
        case Member() | Matches():
            return node.name
        case Text(text=Name() as asked, other=Literal()):
            return asked.name
        case Binary(op=Op.EQUAL, left=Name() as asked, right=Literal()):
            return asked.name
        case Binary(op=Op.EQUAL, left=Literal(), right=Name() as asked):
            return asked.name
        case _:
            return ""


def _failing(rule: Rule, why: str) -> Finding:
    return Finding(
        rule.line, rule.rule_id, f"it fails on calls of the corpus: {why}", "guard the calculation: hour != 0 && ..."
    )


def _beyond(rule: Rule, count: int, calls: int) -> Finding | None:
    share = count / calls
    if count < SPOKE_MIN or share <= rule.forecast_share * FORECAST_TIMES:
        return None
    return Finding(
        rule.line,
        rule.rule_id,
        f"it speaks for {count} of {calls} calls of the corpus, {share:.2%}; forecast {rule.forecast_share:.2%}",
        f"narrow it, or forecast what it does: forecast_share: {share:.4f}",
    )


def _over_limits(evaluation: Evaluation, calls: Counter[Value], diverted: Counter[Value]) -> Iterator[Finding]:
    limits = evaluation.bundle.limits
    everywhere, all_calls = diverted.total(), calls.total()
    if everywhere >= SPOKE_MIN and everywhere > limits.diverted_share * all_calls:
        yield Finding(
            0,
            "",
            f"it would divert {everywhere} of {all_calls} calls of the corpus; limit {limits.diverted_share:.2%}",
            "narrow the rules that divert",
        )
    for psap, count in sorted(diverted.items(), key=lambda each: -each[1])[:10]:
        if psap and count >= SPOKE_MIN and count > limits.psap_diverted_share * calls[psap]:
            yield Finding(
                0,
                "",
                f"it would divert {count} of {calls[psap]} calls of {psap}; limit {limits.psap_diverted_share:.2%}",
                "narrow the rules that divert there",
            )
