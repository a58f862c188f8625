"""The helper that evaluates bundles: `python -m services.firewall.evaluating`, started by a firewall.

It does what may hang or burn, and nothing else: it holds the bundles that it was given and says which rule speaks. What
that rule may say is the parent's own bundle's word, so a helper gone wrong can say no verdict that nobody wrote.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from services.domain.policy import Pass
from services.firewall.pieces import in_pieces
from services.host.children import Program, serve
from services.policy.attributes import Listed, Value
from services.policy.bundle import Bundle, NamedList, Rule
from services.policy.verdicts.evaluating import BundleUnfit, Decision, Evaluation

WHY_CHARS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Unfit(Exception):
    """The helper cannot evaluate this bundle; nothing is wrong with the helper."""

    why: str


class Evaluating:
    """Every bundle that it was given, by its digest."""

    def __init__(self) -> None:
        self._evaluations: dict[str, Evaluation] = {}

    def answer(self, asked: bytes) -> bytes:
        """A bundle to hold (and which ones to go on holding), or a call to decide."""
        question = json.loads(asked)
        if "bundle" in question:
            return json.dumps(self._hold(question)).encode()
        evaluation = self._evaluations.get(question["digest"])
        if evaluation is None:
            return b'{"unfit": "it holds no such bundle"}'
        decision = evaluation.decide(question["inputs"], question["wall_ms"])
        errors = [(rule_id, why[:WHY_CHARS_MAX]) for rule_id, why in decision.errors[:10]]
        return json.dumps({"rule": decision.rule_id, "errors": errors}).encode()

    def _hold(self, question: dict[str, Any]) -> dict[str, str]:
        self._evaluations = {digest: each for digest, each in self._evaluations.items() if digest in question["keep"]}
        bundle = _bundle(question["bundle"])
        try:
            self._evaluations[bundle.digest] = Evaluation(bundle)
        except BundleUnfit as unfit:
            return {"unfit": str(unfit)[:WHY_CHARS_MAX]}
        return {}


async def hold(bundle: Bundle, keep: set[str]) -> bytes:
    """Asks the helper to hold a bundle, and of the others those that are to be kept. Made in pieces, between which
    calls are screened."""
    words = {
        "digest": bundle.digest,
        "name": bundle.name,
        "version": bundle.version,
        "rules": [(rule.rule_id, rule.when, rule.expires_ms) for rule in bundle.rules],
    }
    lists = []
    for each in bundle.lists.values():
        pieces = []
        for piece in in_pieces(each.items):
            pieces.append(json.dumps(piece)[1:-1])
            await asyncio.sleep(0)
        lists.append(f"[{json.dumps(each.name)}, {json.dumps(each.kind)}, [{', '.join(pieces)}]]")
    kept = json.dumps(sorted(keep))
    return f'{{"bundle": {json.dumps(words)[:-1]}, "lists": [{", ".join(lists)}]}}, "keep": {kept}}}'.encode()


def held(answer: bytes) -> None:
    """Reads the answer to `hold`; raises Unfit."""
    said = json.loads(answer)
    if said:
        raise Unfit(str(said["unfit"]))


def decide(digest: str, inputs: Mapping[str, Value], wall_ms: int) -> bytes:
    """Asks which rule of a held bundle speaks for a call."""
    return json.dumps({"digest": digest, "inputs": inputs, "wall_ms": wall_ms}).encode()


def decided(answer: bytes) -> Decision:
    """Reads the answer to `decide`; raises Unfit where the helper does not hold that bundle."""
    said = json.loads(answer)
    if "unfit" in said:
        raise Unfit(str(said["unfit"]))
    return Decision(said["rule"], tuple((str(rule_id), str(why)) for rule_id, why in said["errors"]))


def _bundle(words: dict[str, Any]) -> Bundle:
    """The bundle as far as evaluation needs it; what its rules say stays with the parent."""
    rules = tuple(Rule(rule_id, "", when, Pass(), "", 0.0, expires_ms) for rule_id, when, expires_ms in words["rules"])
    lists = {name: NamedList(name, Listed(kind), frozenset(items)) for name, kind, items in words["lists"]}
    return Bundle(words["name"], words["version"], "", rules, lists, digest=words["digest"])


PROGRAM: Final = Program("services.firewall.evaluating", Evaluating)
BESIDE: Final = Program("services.firewall.evaluating", Evaluating, niceness=19)
"""For what no call waits for."""

if __name__ == "__main__":
    serve(Evaluating())
