"""Small files that would be large, deep or slow in a careless reader."""

from __future__ import annotations

import random


def bomb(chance: random.Random) -> bytes:
    """One of a dozen, of a size that is drawn."""
    size = chance.choice([10, 100, 1_000, 20_000])
    made = {
        "laughs": lambda: "a: &a [x]\n" + "".join(f"{_letter(n)}: &{_letter(n)} [{_star(n)}]\n" for n in range(1, 20)),
        "merge": lambda: "a: &a {x: 1}\n" + "b: {<<: *a}\n" * min(size, 1_000),
        "flow": lambda: chance.choice("[{") * size,
        "flow closed": lambda: "rules: " + "[" * min(size, 1_000) + "]" * min(size, 1_000),
        "flow of maps": lambda: "{a: " * min(size, 1_000) + "1" + "}" * min(size, 1_000),
        "block": lambda: "\n".join(" " * n + "a:" for n in range(min(size, 500))),
        "dashes": lambda: "- " * size,
        "question": lambda: "? " * size,
        "keys": lambda: "".join(f"k{n}: 1\n" for n in range(size)),
        "same key": lambda: "name: a\n" * size,
        "documents": lambda: "---\nname: a\n" * size,
        "directives": lambda: "%TAG ! tag:x,2000:\n" * size,
        "tags": lambda: "name: " + "!a " * size,
        "anchors": lambda: "".join(f"- &a{n} x\n" for n in range(size)),
        "scalar": lambda: "name: " + "x" * size * 10,
        "quoted": lambda: 'name: "' + "\\u0041" * size,
        "folded": lambda: "name: >\n" + "  x\n\n" * size,
        "comments": lambda: "#\n" * size,
        "colons": lambda: "a: " * size,
        "spaces": lambda: "name:" + " " * size * 10 + "a",
        "newlines": lambda: "name: 'a" + "\n" * size * 10 + "'",
        "number": lambda: "name: a\nversion: " + "9" * size,
        "exponent": lambda: f"name: a\nauthor: b\nlimits: {{diverted_share: 1e-{'9' * size}}}",
        "list": lambda: "lists: {a: {kind: number, items: [" + "1," * size + "]}}",
        "lists": lambda: "lists:\n" + "".join(f"  l{n}: {{kind: area, items: [a]}}\n" for n in range(min(size, 1_000))),
        "tabs": lambda: "name:\t" * size,
        "brackets": lambda: "rules: " + "[{id: " * min(size, 2_000),
    }
    return made[chance.choice(sorted(made))]().encode()


def _letter(number: int) -> str:
    return chr(97 + number)


def _star(number: int) -> str:
    return ", ".join([f"*{_letter(number - 1)}"] * 9)
