"""Bundles that no sane person writes, and some that one would: drawn from a seed and a number, the same each time."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Final

from services.policy.attributes import ATTRIBUTES, Listed, Type
from services.policy.language.types import CLOSED
from tests.fuzz.bombs import bomb

EXAMPLES: Final = [path.read_bytes() for path in sorted((Path(__file__).parents[2] / "data/policy/examples").iterdir())]
NAMES: Final = {kind: sorted(name for name, each in ATTRIBUTES.items() if each.type is kind) for kind in Type}
OPEN: Final = {kind: [name for name in NAMES[kind] if name not in CLOSED] for kind in Type}
LISTS: Final = {each: f"of_{each}" for each in Listed}
ITEMS: Final = {
    Listed.NUMBER: ["+16175550101", "911", "+19115550100"],
    Listed.CELL: ["42.36,-71.06", "-0.00,0.00"],
    Listed.DEVICE: ["wireless", "alarm"],
}
TEXTS: Final = ["", "+16175550101", "carrier-a", "trunk-1", "é", "漢", "😀", "'", "\\", "Lynn", "42.36,-71.06"]
INTS: Final = ["0", "1", "2", "6", "-1", "9223372036854775807", "-9223372036854775808", "23"]
DOUBLES: Final = ["0.0", "-0.0", "0.5", "41.0", "1e300", "-1e308", "5e-324", "1.7976931348623157e308"]
PATTERNS: Final = [
    "^a", "a|b", "(?i)carrier-[a-z]$", r"^\+1617\d{7}$", ".", "[^a-c]+x?", "(a*)*b", "(a|a)*$", "((a{1,5}){1,5}){1,5}",
    "a{250}", "(?i)x", r"\w+\s", "^$",
]  # fmt: skip
BAD_PATTERNS: Final = [
    "a{251}", "(?i)漢", "[z-a]", "(", "[", "a**", r"\p{L}+", "(?P<x>a)", r"(a)\1", "x{0,99999}", "^" * 100, "", "|",
    "(" * 300 + ")" * 300, "((((a{9}){9}){9}){9})", "(?=a)", "a{2}{3}{4}", "[[:alpha:]]", "\\", "é" * 900,
]  # fmt: skip
SHARED_COUNTS: Final = [f"{by}_calls_{each}s" for by in ("source", "trunk", "cell") for each in (10, 60, 600, 3600)]
COUNTS: Final = ["0", "1", "2", "7", "16", "300", "1000"]
WAYS: Final = [
    'source == "carrier-a"', "trunk in lists.of_trunk", "number in lists.of_number", 'display_name.contains("Lyn")',
    "lat > 42.3 && lat < 42.4 && lon > -71.1 && lon < -71.0",
]  # fmt: skip
CANNOT_HELP: Final = [
    'number == ""', 'number != ""', "number_dials", "!number_dials", "without_service", "!without_service",
    'attestation == "C"', 'attestation != "C"', 'attestation == "A"', 'device == "text"', 'device != "alarm"',
    'area == "Lynn"', 'area != "Lynn"', "hour == 3", "place_known", "!place_known", "radius_m > 50.0", 'cell == ""',
    'service == "urn:service:sos"', 'verification == "failed"', 'display_name == ""', 'number.startsWith("+1")',
]  # fmt: skip
WORDS: Final = [
    *ATTRIBUTES, "&&", "||", "!", "==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "?", ":", "(", ")", "[",
    "]", ",", ".", "in", "lists.of_number", "lists.nothing", "true", "false", "null", "size()", ".matches(", '"a"',
    "'", '"', "1", "-9223372036854775809", "1e999", "0x1F", "1u", "b'a'", 'r"\\', "\\u0000", "has(", ".all(x, true)",
    "[1].map(x, x)", "{1: 2}", "and", "not", "=", "/*", "//", "`", "$", ";", "\n", "\t", "\0", "\u202e", "\ud7ff", "😀",
]  # fmt: skip
NASTY: Final = [
    "", "~", "null", "no", "-", "&a x", "*a", "!!python/object/apply:os.system [id]", "!!binary aGk=", "0x10", "0o17",
    "1_000", "1e999", ".inf", "-.nan", "9" * 32, "-1", "0.0000000000000000000000001", "[", "{",
    "[]", "{}", "{a: b}", "[[[[[[[]]]]]]]", "|\n   x", ">-\n   y", '"\\x00"', '"\\uD800"', '"\\ud83d\\ude00"', "'", '"',
    "block", "{block: true}", "{divert: ''}", "{flag: 101}", "{flag: 1e2}", "{divert: a, flag: 1}", "{pass: }", "? x",
    "<<: {a: 1}", "2027-02-30T00:00:00Z", "2999-12-31T23:59:59Z", "2027-07-01", "1.0", "a" * 5_000, "é" * 2_100, "# c",
    "---", "...", "%YAML 9.9", "@", "`", "\t", "x: y: z", "\u2028", "\x85", "\ufeff", "\x07", "٣", "５",
]  # fmt: skip
Random = random.Random


def drawn(seed: int, number: int) -> tuple[str, bytes]:
    """The kind of a bundle, and its bytes."""
    chance = Random(f"{seed}/{number}")
    kind = chance.choices(list(KINDS), [weight for weight, _ in KINDS.values()])[0]
    return kind, KINDS[kind][1](chance)


def condition(chance: Random, kind: Type = Type.BOOL, depth: int = 4) -> str:
    """A text of that type; mostly one that is accepted."""
    if depth <= 0 or chance.random() < 0.25:
        return _leaf(chance, kind)
    below = depth - 1
    if chance.random() < 0.08:
        asked, one, other = condition(chance, Type.BOOL, below), *(condition(chance, kind, below) for _ in range(2))
        return f"({asked} ? {one} : {other})"
    if kind is Type.BOOL:
        return _truth(chance, below)
    if kind is Type.STRING:
        return _leaf(chance, kind)
    operator = chance.choice("+-*/%" if kind is Type.INT else "+-*/")
    return f"({condition(chance, kind, below)} {operator} {condition(chance, kind, below)})"


def _leaf(chance: Random, kind: Type) -> str:
    if chance.random() < 0.6:
        return chance.choice(NAMES[kind]) if kind is not Type.STRING else chance.choice(OPEN[kind])
    if kind is Type.INT and chance.random() < 0.2:
        return "display_name.size()"
    values = {Type.INT: INTS, Type.DOUBLE: DOUBLES, Type.BOOL: ["true", "false"], Type.STRING: [*map(quoted, TEXTS)]}
    return chance.choice(values[kind])


def _truth(chance: Random, below: int) -> str:
    way = chance.randrange(9)
    if way < 3:
        parts = [condition(chance, Type.BOOL, below) for _ in range(chance.randint(2, 4))]
        return "(" + chance.choice([" && ", " || "]).join(parts) + ")"
    if way == 3:
        return "!" + f"({condition(chance, Type.BOOL, below)})"
    if way == 4:
        return f"{chance.choice(OPEN[Type.STRING])}.matches({quoted(chance.choice(PATTERNS))})"
    if way == 5:
        listed = chance.choice(list(Listed))
        return f"{listed} in lists.{LISTS[listed]}"
    if way == 6:
        asks = chance.choice(["startsWith", "endsWith", "contains"])
        return f"{chance.choice(OPEN[Type.STRING])}.{asks}({quoted(chance.choice(TEXTS))})"
    if way == 7:
        name = chance.choice(sorted(CLOSED))
        return f"{name} {chance.choice(['==', '!='])} {quoted(chance.choice(sorted(CLOSED[name])))}"
    kind = chance.choice([Type.INT, Type.DOUBLE, Type.STRING])
    operator = chance.choice(["==", "!="] if kind is Type.STRING else ["==", "!=", "<", "<=", ">", ">="])
    return f"{condition(chance, kind, below)} {operator} {condition(chance, kind, below)}"


def quoted(text: str) -> str:
    """As a literal of the language."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def rested(chance: Random) -> str:
    """Conditions that a divert may rest on, and that may or may not stand beside them."""
    own = f"number_calls_{chance.choice(['60s', '3600s'])} {chance.choice(['>=', '<', '=='])} {chance.choice('012')}"
    shared = f"{chance.choice(SHARED_COUNTS)} {chance.choice(['>=', '>', '==', '!='])} {chance.choice(COUNTS)}"
    parts = [
        chance.choice([own, shared, shared, *WAYS]),
        *(condition(chance, depth=1) for _ in range(chance.randrange(3))),
        *chance.choices(CANNOT_HELP, k=chance.randrange(3)),
    ]
    chance.shuffle(parts)
    return chance.choice([" && ", " && ", " && ", " || "]).join(f"({part})" for part in parts)


def soup(chance: Random) -> str:
    """Words in no order, levels without end, chains without end."""
    way = chance.randrange(9)
    if way == 0:
        depth = chance.choice([15, 16, 17, 100, 2_000])
        return "(" * depth + "true" + ")" * chance.choice([depth, depth - 1])
    if way == 1:
        return chance.choice(["!", "-"]) * chance.choice([16, 300, 4_000]) + chance.choice(["true", "1"])
    if way == 2:
        return chance.choice([" && ", " || ", " + ", " == "]).join(["hour == 1"] * chance.choice([100, 255, 300]))
    if way == 3:
        return f"hour in [{', '.join(map(str, range(chance.choice([64, 65, 900]))))}]"
    if way == 4:
        return f"source.matches({quoted(chance.choice(BAD_PATTERNS))})"
    if way == 5:
        return f"number.matches({quoted(''.join(chance.choices('ab()|*+?{}[]1,9^$.', k=chance.randint(1, 60))))})"
    return " ".join(chance.choices(WORDS, k=chance.randint(1, 60)))


def bundle(chance: Random, when: Callable[[Random], str] = condition, rules: int = 0, odd: float = 0.0) -> bytes:
    """A whole file; each of its values is something else with the likelihood `odd`."""

    def said(value: str) -> str:
        return chance.choice(NASTY) if chance.random() < odd else value

    def share(most: str = "0.05") -> str:
        return said(chance.choice(["0.001", "0.01", "1e-3", most]))

    lines = [
        f"name: {said('fuzz')}",
        f"version: {said(str(chance.randint(1, 9)))}",
        f"author: {said('somebody')}",
        "lists:",
    ]
    for listed, name in LISTS.items():
        items = ", ".join(said(_double(each)) for each in ITEMS.get(listed, ["a", "carrier-a", "Lynn"]))
        lines.append(f"  {said(name)}: {{kind: {said(listed)}, items: [{items}]}}")
    if chance.random() < 0.3:
        lines.append(f"limits: {{diverted_share: {share()}, psap_diverted_share: {share()}}}")
    if chance.random() < 0.2:
        lines.append(f"canary: [{{share: {share('1.0')}, calls_min: {said('10')}, minutes_min: {said('1')}}}]")
    lines.append("rules:")
    verdicts = ["{divert: nuisance-desk}", "{divert: nobody}", "{flag: 40}", "pass"]
    for number in range(rules or chance.randint(1, 6)):
        verdict = chance.choice(verdicts)
        lines += [
            f"  - id: {said(f'rule-{number}')}",
            f"    reason: {said('odd_divert' if 'divert' in verdict else 'odd')}",
            f"    when: {said(_double(when(chance)))}",
            f"    verdict: {said(verdict)}",
            f"    forecast_share: {share()}",
            f"    expires: {said(chance.choice(['2099-01-01T00:00:00Z', '2001-01-01T00:00:00Z']))}",
            f"    owner: {said('desk')}",
        ]
    if chance.random() < odd:
        chance.shuffle(lines)
    return "\n".join([*lines, ""]).encode("utf-8", "surrogatepass")


def _double(text: str) -> str:
    """As a quoted YAML scalar."""
    marks = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\0": "\\0"}
    return '"' + "".join(marks.get(each, each) for each in text) + '"'


def _some(chance: Random) -> bytes:
    return chance.choice(EXAMPLES) if chance.random() < 0.3 else bundle(chance)


def _flipped(chance: Random) -> bytes:
    content = bytearray(_some(chance))
    for _ in range(chance.choice([1, 1, 2, 5, 50])):
        content[chance.randrange(len(content))] = chance.choice([chance.randrange(256), chance.randrange(32, 127)])
    return bytes(content)


def _cut(chance: Random) -> bytes:
    """Truncated; without its middle; with a part twice; two of them in one."""
    content, other = _some(chance), _some(chance)
    one, two = sorted(chance.randrange(len(content) + 1) for _ in range(2))
    far = content[: chance.choice([len(content), two])]
    return chance.choice([content[:one], content[:one] + content[two:], content[:two] + content[one:], far + other])


def _lines(chance: Random) -> bytes:
    """Its lines in another order, some twice, some indented otherwise."""
    lines = _some(chance).split(b"\n")
    for _ in range(chance.randint(1, 6)):
        at, to = chance.randrange(len(lines)), chance.randrange(len(lines))
        lines[at] = chance.choice(
            [lines[to], b" " + lines[at], lines[at].lstrip(), lines[at] + b":", b"- " + lines[at]]
        )
    return b"\n".join(lines)


def _bytes(chance: Random) -> bytes:
    """Odd UTF-8, or none."""
    odd = [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xef\xbb\xbf", b"\0", b"\xe2\x80\xae",
           b"\xcc\x81", b"\xf0\x9f\x98", b"\xe2\x80\xa8", b"\xc2\x85", b"\x1b[2J", b"\r", b"\xef\xbf\xbe"]  # fmt: skip
    content = _some(chance)
    if chance.random() < 0.1:
        return content.decode("utf-8").encode(chance.choice(["utf-16", "utf-32", "utf-7"]))
    if chance.random() < 0.1:
        return chance.randbytes(chance.randint(0, 2_000))
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(content) + 1)
        content = content[:at] + chance.choice(odd) + content[at:]
    return content


def _large(chance: Random) -> bytes:
    """As many rules, or as long ones, as a bundle may have, and more."""
    if chance.random() < 0.3:
        return bundle(chance, lambda chance: condition(chance, depth=9))
    return bundle(
        chance, lambda chance: condition(chance, depth=chance.randint(1, 3)), chance.choice([100, 400, 1_001])
    )


KINDS: Final[dict[str, tuple[int, Callable[[Random], bytes]]]] = {
    "valid": (200, bundle),
    "grounds": (100, lambda chance: bundle(chance, rested, chance.randint(1, 2))),
    "odd values": (200, lambda chance: bundle(chance, odd=chance.choice([0.01, 0.05, 0.3]))),
    "odd conditions": (150, lambda chance: bundle(chance, soup, chance.randint(1, 3))),
    "flipped": (100, _flipped),
    "cut": (80, _cut),
    "lines": (60, _lines),
    "bytes": (60, _bytes),
    "bomb": (47, bomb),
    "large": (3, _large),
}
"""Each kind, with how often it comes, of a thousand."""
