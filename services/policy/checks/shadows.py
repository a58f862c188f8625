"""Rules that never speak because an earlier one is true whenever they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from services.policy.bundle import Rule
from services.policy.checks.reasoning import Room, Way, excludes, ways
from services.policy.language.keys import Guard, guards_of
from services.policy.language.tree import Node, attributes_of

PAIRS_MAX: Final = 20_000
"""Pairs that are looked at closely; what cannot be is left out before."""


class _Ready:
    """A rule as the search needs it."""

    def __init__(self, rule: Rule, tree: Node, room: Room) -> None:
        self.rule = rule
        self.opened = ways(tree, room)
        self.names = attributes_of(tree)
        self.false: list[Way] | None = ways(tree, room, holds=False)
        self.needs = [frozenset(each.name for each in way if each.name) for way in self.opened or ()]
        self.guards = guards_of(tree)

    def may_cover(self, later: _Ready, room: Room) -> bool:
        """A first look: `later` must ask about what this rule asks about, and be found by the same values."""
        if not any(need <= later.names for need in self.needs):
            return False
        return (
            not self.guards
            or not later.guards
            or all(any(_within(inner, outer, room) for outer in self.guards) for inner in later.guards if inner.values)
        )


def _within(inner: Guard, outer: Guard, room: Room) -> bool:
    """Whether what this guard finds, the outer may find too. It errs towards yes."""
    if inner.name != outer.name:
        return True
    values = room.lists[outer.list_name] if outer.list_name else outer.values
    return len(inner.values) > 1 or inner.values <= values


def shadows(trees: Sequence[tuple[Rule, Node]], room: Room) -> Iterator[tuple[Rule, Rule]]:
    """Each rule that is shadowed, with the first earlier one that does it."""
    ready = [_Ready(rule, tree, room) for rule, tree in trees]
    pairs = 0
    for number, later in enumerate(ready):
        if not later.opened:  # never true, which is told; or of too many ways
            continue
        for earlier in ready[:number]:
            if earlier.false is None or not earlier.opened or earlier.rule.expires_ms < later.rule.expires_ms:
                continue
            if not earlier.may_cover(later, room):
                continue
            pairs += 1
            if pairs > PAIRS_MAX or room.left <= 0:
                room.left = 0
                return
            if excludes(later.opened, earlier.false, room):
                yield later.rule, earlier.rule
                break
