"""The door of the language: a text and the bundle's lists in, a typed tree out, or the reason why not."""

from __future__ import annotations

from collections.abc import Mapping

from services.policy.attributes import Listed
from services.policy.language import grammar, types
from services.policy.language.tree import Node, NotInLanguage

__all__ = ["NotInLanguage", "read"]


def read(text: str, lists: Mapping[str, Listed]) -> Node:
    """What a `when` says. Raises `NotInLanguage`; the time it takes is bounded whatever the text is."""
    node = grammar.parse(text)
    types.check(node, lists)
    return node
