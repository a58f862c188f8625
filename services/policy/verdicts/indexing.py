"""Which rules one call can make true: found by its values, before anything is evaluated. And what that costs at worst.

A bundle of a thousand rules is quick when no call meets many of them. How many the worst call meets is counted when
the bundle is loaded, over every value that the rules and their lists name, so that the bound holds for any call.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from services.policy.attributes import Value
from services.policy.language.keys import guards_of
from services.policy.language.tree import Matches, Member, Node, Text, walk

ASKED_ALWAYS_MAX: Final = 40
"""Rules without a guard."""
WORK_MAX: Final = 2_500
"""What one call can make us evaluate at most, as `work_of` counts."""
RULE_WORK: Final = 6
"""What asking any rule costs beside its parts."""
PATTERN_WORK: Final = 30
"""A pattern over a text of ordinary length."""
TEXT_WORK: Final = 2


def work_of(node: Node) -> int:
    """What one evaluation costs at most, in parts of a rule: some tenth of a microsecond each."""
    costs = {Matches: PATTERN_WORK, Text: TEXT_WORK, Member: TEXT_WORK}
    return RULE_WORK + sum(costs.get(type(each), 1) for each in walk(node))


class Index:
    """Rules by number, in the order of the file."""

    def __init__(self, trees: Sequence[Node], lists: Mapping[str, frozenset[str]]) -> None:
        always: list[int] = []
        by_value: dict[str, dict[Value, list[int]]] = {}
        by_list: dict[tuple[str, str], list[int]] = {}
        for number, tree in enumerate(trees):
            guards = guards_of(tree)
            if not guards:
                always.append(number)
            for guard in guards:
                if guard.list_name:
                    by_list.setdefault((guard.name, guard.list_name), []).append(number)
                for value in guard.values:
                    by_value.setdefault(guard.name, {}).setdefault(value, []).append(number)
        self.always: Final = tuple(always)
        self._by_value = {
            name: {value: tuple(found) for value, found in values.items()} for name, values in by_value.items()
        }
        self._by_list = tuple((name, lists[list_name], tuple(found)) for (name, list_name), found in by_list.items())
        self.work: Final = self._work([work_of(tree) for tree in trees])

    def met_by(self, known: Mapping[str, Value]) -> Sequence[int]:
        """The rules that a call with these attributes may make true."""
        met = set(self.always)
        for name, values in self._by_value.items():
            met.update(values.get(known[name], ()))
        for name, items, found in self._by_list:
            if known[name] in items:
                met.update(found)
        return sorted(met)

    def _work(self, costs: Sequence[int]) -> int:
        """Of the worst call: the costliest value of each attribute, and what is asked always.

        A value's cost counts a rule twice that finds it by two guards; an author who is refused for that has written
        the same guard twice.
        """
        worst = sum(costs[number] for number in self.always)
        names = {*self._by_value, *(name for name, _, _ in self._by_list)}
        for name in names:
            by_value: Counter[Value] = Counter()
            for value, found in self._by_value.get(name, {}).items():
                by_value[value] += sum(costs[number] for number in found)
            for listed_name, items, found in self._by_list:
                if listed_name == name:
                    cost = sum(costs[number] for number in found)
                    for item in items:
                        by_value[item] += cost
            worst += max(by_value.values(), default=0)
        return worst
