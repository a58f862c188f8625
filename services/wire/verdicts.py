"""A policy's verdict on the wire and in the domain."""

from __future__ import annotations

from typing import Final

from throughline.v1 import screening_pb2

from services.domain.policy import Divert, Flag, Pass, Verdict
from services.wire.offers import TEXT_CHARS_MAX

SCORE_MAX: Final = 100


def _cut(text: str) -> str:
    return text[:TEXT_CHARS_MAX]


def to_domain(message: screening_pb2.Verdict) -> Verdict | None:
    """The verdict; None where it says nothing that this version knows, which a conductor takes as unscreened.

    A suspicion past 100 counts as 100 (i3 CallSuspicion); texts are cut, since they travel with every fact.
    """
    said = message.WhichOneof("said")
    if said == "pass":
        return Pass()
    if said == "flag":
        return Flag(min(message.flag.score, SCORE_MAX), _cut(message.flag.rule), _cut(message.flag.reason))
    if said == "divert":
        return Divert(_cut(message.divert.desk), _cut(message.divert.rule), _cut(message.divert.reason))
    return None


def to_wire(verdict: Verdict, policy: str = "") -> screening_pb2.Verdict:
    """The verdict as a message; `policy` names the policy that said it, empty where none did."""
    match verdict:
        case Pass():
            message = screening_pb2.Verdict(policy=policy)
            getattr(message, "pass").SetInParent()  # `pass` is a word of Python's own
            return message
        case Flag(score, rule, reason):
            return screening_pb2.Verdict(flag=screening_pb2.Flag(score=score, rule=rule, reason=reason), policy=policy)
        case Divert(desk, rule, reason):
            return screening_pb2.Verdict(
                divert=screening_pb2.Divert(desk=desk, rule=rule, reason=reason), policy=policy
            )
