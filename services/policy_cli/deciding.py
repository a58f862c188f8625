"""Commands that change what stands: submit, shadow, canary, promote, revert, bypass. Each is a signed order.

An order says who wants what of which bundle, byte for byte, and when; firewalls follow it once. Going forward takes the
signatures that the bundle needs; going back takes one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from throughline.v1 import policy_pb2

from services.host.clock import wall_ms
from services.host.exits import EXIT_FILE, EXIT_UNAVAILABLE
from services.host.network import Broken, Network
from services.policy.files import signing
from services.policy.files.canonical import Action, Order, Signature
from services.policy_cli import asking, confinement, seals
from services.policy_cli.ending import EXIT_REFUSED, refuse
from services.policy_cli.standing import after_revert, state_line
from services.readers.wording import plain
from services.wire.methods import DIRECT_POLICY, POLICY_STATUS, SUBMIT_POLICY
from services.wire.policy_records import order_to_wire, signature_to_wire

Key = Annotated[Path, typer.Option(metavar="FILE", help="The signer's private key: NAME.key.")]
Why = Annotated[str, typer.Option(metavar="TEXT", help="Why; it stands in the history.")]
Force = Annotated[bool, typer.Option("--force", help="Past the gates, or out of quarantine: two people sign it.")]
Save = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write the signed order there for a second person; send nothing.")
]
Version = Annotated[
    str, typer.Argument(metavar="VERSION|BUNDLE", help="A version that was submitted, or the bundle's file itself.")
]

UNHEARD: Final = (
    "To let every call pass without a network, make the file that THROUGHLINE_FIREWALL_BYPASS_FILE names, on each "
    "firewall's machine, or stop the firewall: calls go on unscreened"
)
"""For whoever must go back and reaches no firewall: callers are diverted meanwhile."""

Again = Callable[[Order], Sequence[Signature]]


class Switch(StrEnum):
    """Of the bypass."""

    ON = "on"
    OFF = "off"


def submit(
    file: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The bundle's YAML file, as it was signed.")],
    signature: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A signature; again for more. Default: every BUNDLE.*.sig beside it."),
    ] = None,
    firewall: asking.Firewalls = "",
) -> None:
    """Hand in a bundle with its signatures; it changes nothing yet. Submit it again to add another signature.

    Example: throughline policy submit nuisance.yaml --firewall 127.0.0.1:7100,127.0.0.1:7101
    """
    firewalls = asking.addresses(firewall)
    try:
        content = confinement.content_of(file)
        signatures = [seals.read_signature(path) for path in signature or seals.signatures_beside(file)]
    except (confinement.CannotRead, seals.BadSeal) as why:
        refuse(str(why), EXIT_FILE)
    said = policy_pb2.SubmitRequest(content=content, signatures=[signature_to_wire(each) for each in signatures])
    within_s = asking.SUBMIT_WITHIN_S
    answer = asking.over_grpc(lambda network: asking.first(network, firewalls, SUBMIT_POLICY, said, within_s))
    signers = ", ".join(plain(each) for each in answer.signers) or "nobody"
    typer.echo(f"version {answer.version} is there, sha256 {plain(answer.sha256)}")
    typer.echo(f"signed by {signers}; it needs {answer.signers_needed}")
    for warning in answer.warnings:
        typer.echo(f"warning: {plain(warning)}")


def shadow(
    version: Version, key: Key, firewall: asking.Firewalls = "", why: Why = "", force: Force = False, save: Save = None
) -> None:
    """Let a bundle be evaluated beside the live one, off the calls' way; what it would have done is recorded.

    Example: throughline policy shadow 7 --key alice.key --why "first look at live calls"
    """
    _direct(Action.SHADOW, version, key, firewall, why, force, save)


def canary(
    version: Version, key: Key, firewall: asking.Firewalls = "", why: Why = "", force: Force = False, save: Save = None
) -> None:
    """Begin a bundle's canary plan: a share of calls, then areas, then all, each step with its least calls and time.

    It climbs by itself, and `status` says how far it is. A breaker that trips, or a share far from the forecast,
    reverts it by itself.

    Example: throughline policy canary 7 --key alice.key --firewall 127.0.0.1:7100,127.0.0.1:7101
    """
    _direct(Action.CANARY, version, key, firewall, why, force, save)


def promote(
    version: Version, key: Key, firewall: asking.Firewalls = "", why: Why = "", force: Force = False, save: Save = None
) -> None:
    """Make a bundle live once its canary plan has run; before that with --force and two people.

    Examples: throughline policy promote 7 --key alice.key;
    throughline policy promote 7 --force --key alice.key --save order.json
    """
    _direct(Action.PROMOTE, version, key, firewall, why, force, save)


def revert(key: Key, firewall: asking.Firewalls = "", why: Why = "") -> None:
    """Drop the canary's candidate; where there is none, go back from the live bundle to the last good one.

    A candidate in shadow answers nobody: it goes too, and the live one with it. One person's
    signature is enough. Every firewall named is told, so it works while Kafka is away.

    Example: throughline policy revert --key alice.key --why "3203 has no lines left"
    --firewall 127.0.0.1:7100,127.0.0.1:7101
    """
    _direct(Action.REVERT, "", key, firewall, why, False, None)


def bypass(
    switch: Annotated[Switch, typer.Argument(metavar="SWITCH", help="on: every call passes, whatever policies say.")],
    key: Key,
    firewall: asking.Firewalls = "",
    why: Why = "",
) -> None:
    """Let every call pass, or screen again. One person's signature is enough, and every firewall named is told.

    Without any network the same is done on a firewall's machine by its file or environment: see docs/firewall.md.

    Example: throughline policy bypass on --key alice.key --why "callers say they reach the wrong desk"
    """
    _direct(Action.BYPASS_ON if switch is Switch.ON else Action.BYPASS_OFF, "", key, firewall, why, False, None)


def countersign(
    order_file: Annotated[Path, typer.Argument(metavar="FILE", help="An order that --save wrote.")],
    key: Key,
    firewall: asking.Firewalls = "",
) -> None:
    """Add a second person's signature to an order, and send it. Orders are followed within ten minutes, or not at all.

    Example: throughline policy countersign order.json --key bob.key
    """
    firewalls = asking.addresses(firewall)
    try:
        order, signatures = seals.read_order(order_file)
        person = seals.read_key(key)
    except seals.BadSeal as bad:
        refuse(str(bad), EXIT_FILE)
    signatures.append(signing.sign_order(person.private, person.name, order, wall_ms()))
    _send(order, signatures, firewalls)


def _direct(action: Action, version: str, key: Path, firewall: str, why: str, force: bool, save: Path | None) -> None:
    """Signs the order, and sends it or writes it down."""
    firewalls = asking.addresses(firewall)
    try:
        person = seals.read_key(key)
    except seals.BadSeal as bad:
        refuse(str(bad), EXIT_FILE)
    number, digest = _meant(version, firewalls) if action.names_bundle else (0, "")
    now_ms = wall_ms()
    order = Order(action, now_ms, number, digest, force, why)

    def sign(order: Order) -> list[Signature]:
        return [signing.sign_order(person.private, person.name, order, now_ms)]

    signatures = sign(order)
    if save is None:
        _send(order, signatures, firewalls, sign)
        return
    try:
        seals.write_order(save, order, signatures)
    except OSError as error:
        refuse(f"cannot write {save}: {error.strerror}", EXIT_FILE)
    typer.echo(f"{save} holds the order, signed by {person.name}; it is good for ten minutes")
    typer.echo(f"do: throughline policy countersign {save} --key SECOND.key")


def _meant(version: str, firewalls: Sequence[str]) -> tuple[int, str]:
    """The version and digest of the bundle that is meant; a file says both itself."""
    if not version.isdecimal():
        try:
            bundle = seals.bundle_of(confinement.content_of(Path(version)))
        except (confinement.CannotRead, seals.BadSeal) as bad:
            refuse(str(bad), EXIT_FILE)
        return bundle.version, bundle.digest
    status = asking.over_grpc(
        lambda network: asking.first(network, firewalls, POLICY_STATUS, policy_pb2.PolicyServiceStatusRequest())
    )
    known = {each.version: each.sha256 for each in status.bundles}
    if int(version) not in known:
        there = ", ".join(map(str, sorted(known))) or "none"
        refuse(f"expected a version that was submitted; there is no {version}, there are: {there}", EXIT_REFUSED)
    return int(version), known[int(version)]


def _send(order: Order, signatures: Sequence[Signature], firewalls: Sequence[str], again: Again | None = None) -> None:
    """Sends it and says what came of it. `again` signs an order that goes back anew, where that is needed."""
    if order.action.names_bundle:
        said = _said(order, signatures)
        answer = asking.over_grpc(lambda network: asking.first(network, firewalls, DIRECT_POLICY, said))
        typer.echo(state_line(answer.state))
        return
    told = asking.over_grpc(lambda network: _tell(network, order, signatures, firewalls, again))
    for address, heard in told:
        if isinstance(heard, Broken):
            typer.echo(f"{address}: {plain(heard.detail)} ({heard.status})", err=True)
        else:
            where = "everywhere" if heard.everywhere else "on this firewall alone until the topic can be written"
            typer.echo(f"{address}: {state_line(heard.state)}; {where}")
    followed = [heard for _, heard in told if not isinstance(heard, Broken)]
    if order.action is Action.REVERT and (further := after_revert([heard.state for heard in followed])):
        typer.echo(further)
    if not followed:
        refused = any(isinstance(heard, Broken) and heard.status not in asking.ELSEWHERE for _, heard in told)
        instead = f". {UNHEARD}" if order.action is not Action.BYPASS_OFF and not refused else ""
        refuse(f"no firewall follows the order{instead}", EXIT_REFUSED if refused else EXIT_UNAVAILABLE)
    if len(followed) < len(told) and not any(heard.everywhere for heard in followed):
        instead = "" if order.action is Action.BYPASS_OFF else f". {UNHEARD}"
        refuse(f"{len(told) - len(followed)} of {len(told)} firewalls have not heard it{instead}", EXIT_UNAVAILABLE)


async def _tell(
    network: Network, order: Order, signatures: Sequence[Signature], firewalls: Sequence[str], again: Again | None
) -> list[tuple[str, policy_pb2.DirectResponse | Broken]]:
    """What every firewall says to it. Where an order was followed that is later by its signer's clock, this one is made
    just after that: who goes back does not wait until their own clock has come so far."""
    told = await asking.each(network, firewalls, DIRECT_POLICY, _said(order, signatures))
    refused = [address for address, heard in told if isinstance(heard, Broken) and heard.status not in asking.ELSEWHERE]
    if not refused or again is None:
        return told
    standing = await asking.each(network, refused, POLICY_STATUS, policy_pb2.PolicyServiceStatusRequest())
    latest_ms = max((each.state.ordered_at_ms for _, each in standing if not isinstance(each, Broken)), default=0)
    if latest_ms <= order.made_ms:
        return told
    order = replace(order, made_ms=latest_ms + 1)
    return await asking.each(network, firewalls, DIRECT_POLICY, _said(order, again(order)))


def _said(order: Order, signatures: Sequence[Signature]) -> policy_pb2.DirectRequest:
    return policy_pb2.DirectRequest(
        order=order_to_wire(order), signatures=[signature_to_wire(each) for each in signatures]
    )


COMMANDS: Final[dict[str, Callable[..., Any]]] = {
    "submit": submit,
    "shadow": shadow,
    "canary": canary,
    "promote": promote,
    "revert": revert,
    "bypass": bypass,
    "countersign": countersign,
}
