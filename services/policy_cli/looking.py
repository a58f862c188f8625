"""Commands that only look: status, diff, history, explain."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from google.protobuf.json_format import MessageToDict
from throughline.v1 import policy_pb2, screening_pb2

from services.host.exits import EXIT_FILE, EXIT_UNAVAILABLE
from services.host.network import Broken, Network, Status
from services.policy.attributes import Value
from services.policy.bundle import Bundle
from services.policy.files.built_in import CONTENT, built_in
from services.policy.files.signing import people_for_bundle
from services.policy.replays.comparing import lines
from services.policy.verdicts.evaluating import BundleUnfit, Evaluation
from services.policy_cli import asking, confinement, seals
from services.policy_cli.ending import EXIT_REFUSED, refuse
from services.policy_cli.replayed import HIDDEN, masked, word
from services.policy_cli.standing import change_line, instant, is_well, status_lines
from services.readers.wording import plain
from services.wire import screenings, verdicts
from services.wire.methods import EXPLAIN, POLICY_BUNDLE, POLICY_HISTORY, POLICY_STATUS

SERVED: Final = 0
"""The version by which a firewall is asked for the bundle that it serves, from its own disk too."""

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]


def status(firewall: asking.Firewalls = "", as_json: AsJson = False) -> None:
    """Say what is live, what is on its way, and what each firewall serves; exit code 1 where one serves another.

    Example: throughline policy status --firewall 127.0.0.1:7100,127.0.0.1:7101
    """
    firewalls = asking.addresses(firewall)
    said = policy_pb2.PolicyServiceStatusRequest()
    told = asking.over_grpc(lambda network: asking.each(network, firewalls, POLICY_STATUS, said))
    answers = {address: heard for address, heard in told if not isinstance(heard, Broken)}
    if as_json:
        typer.echo(json.dumps({address: MessageToDict(heard) for address, heard in answers.items()}, indent=2))
    for address, heard in told if not as_json else ():
        if isinstance(heard, Broken):
            typer.echo(f"{address}: does not answer: {plain(heard.detail)} ({heard.status})")
            continue
        typer.echo(f"{address} {plain(heard.firewall)}")
        for line in status_lines(heard):
            typer.echo(f"  {line}")
    if not answers:
        refuse(f"no firewall answers. {asking.WHERE}", EXIT_UNAVAILABLE)
    raise typer.Exit(0 if len(answers) == len(told) and all(map(is_well, answers.values())) else EXIT_REFUSED)


def diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help="A bundle's file, a version, or live.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The same.")],
    firewall: asking.Firewalls = "",
) -> None:
    """Say how two bundles differ, rule by rule and list by list, and how many people must sign the new one.

    Examples: throughline policy diff before.yaml nuisance.yaml; throughline policy diff live nuisance.yaml
    """
    before, after = _bundle(old, firewall), _bundle(new, firewall)
    found = lines(before, after)
    typer.echo(f"{plain(before.label)} -> {plain(after.label)}")
    for line in found:
        typer.echo(f"{line.sign.value} {plain(line.text)}")
    if not found:
        typer.echo("they say the same")
    people = people_for_bundle(before, after)
    more = (
        "it can divert more, so two people sign it" if people > 1 else "it cannot divert more, so one person signs it"
    )
    typer.echo(more)


def history(
    firewall: asking.Firewalls = "",
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="At most so many changes.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List what changed, the newest first: who did what, and why.

    Example: throughline policy history --limit 10
    """
    firewalls = asking.addresses(firewall)
    said = policy_pb2.HistoryRequest(limit=limit)
    answer = asking.over_grpc(lambda network: asking.first(network, firewalls, POLICY_HISTORY, said))
    if as_json:
        typer.echo(json.dumps(MessageToDict(answer), indent=2))
        return
    for change in answer.changes:
        typer.echo(change_line(change))
    if not answer.changes:
        typer.echo("nothing was ever changed: the built-in bundle is live")


def explain(
    call_id: Annotated[str, typer.Argument(metavar="CALL_ID", help="The whole id.")],
    firewall: asking.Firewalls = "",
    show_numbers: Annotated[bool, typer.Option("--show-numbers", help="The caller's number and place too.")] = False,
) -> None:
    """Say why a call was screened as it was: rule, bundle, inputs, window counts; and evaluate it again.

    Exit code 1 where no firewall remembers the call, or the same bundle says something else now.

    Example: throughline policy explain 8c1f2b7e --firewall 127.0.0.1:7100
    """
    firewalls = asking.addresses(firewall)
    said = policy_pb2.ExplainRequest(call_id=call_id)

    async def every(network: Network) -> tuple[list[screening_pb2.Screening], list[Broken], dict[str, bytes]]:
        told = await asking.each(network, firewalls, EXPLAIN, said)
        found = [each for _, heard in told if not isinstance(heard, Broken) for each in heard.screenings]
        contents = await _contents(network, firewalls, {each.bundle for each in found} - {""})
        return found, [heard for _, heard in told if isinstance(heard, Broken)], contents

    found, broken, contents = asking.over_grpc(every)
    broken = [each for each in broken if each.status is not Status.NOT_FOUND]
    if len(broken) == len(firewalls):
        refuse(f"no firewall answers: {plain(broken[0].detail)}. {asking.WHERE}", EXIT_UNAVAILABLE)
    unique = {each.SerializeToString(deterministic=True): each for each in found}
    same = True
    for each in sorted(unique.values(), key=lambda one: (one.at_ms, one.leg, one.shadow)):
        same &= _tell(each, contents.get(each.bundle), show_numbers)
    if not found:
        refuse(f"no firewall remembers the call {plain(call_id)!r}. Is the id whole?", EXIT_REFUSED)
    raise typer.Exit(0 if same else EXIT_REFUSED)


async def _contents(network: Network, firewalls: tuple[str, ...], digests: set[str]) -> dict[str, bytes]:
    """The bundles of these digests that are there, as bytes: the built-in one, and what a firewall holds or serves."""
    contents = {built_in().digest: CONTENT}
    for address, heard in await asking.each(network, firewalls, POLICY_STATUS, policy_pb2.PolicyServiceStatusRequest()):
        if isinstance(heard, Broken):
            continue
        versions = [each.version for each in heard.bundles if each.sha256 in digests]
        for version in (*versions, SERVED):
            if digests <= contents.keys():
                return contents
            with suppress(Broken):  # what one holds no more another may
                asked = policy_pb2.BundleRequest(version=version)
                held = await network.ask(address, POLICY_BUNDLE, asked, within_s=asking.WITHIN_S)
                contents[sha256(held.content).hexdigest()] = held.content
    return contents


def _tell(screening: screening_pb2.Screening, content: bytes | None, show_numbers: bool) -> bool:
    """One screening; whether the same comes out again, as far as that can be known."""
    verdict = verdicts.to_domain(screening.verdict)
    proposed = verdicts.to_domain(screening.proposed) if screening.HasField("proposed") else verdict
    kind = "shadow" if screening.shadow else f"leg {screening.leg}"
    typer.echo(f"{instant(screening.at_ms)} {kind}: {plain(word(verdict)) if verdict else 'no verdict known here'}")
    if screening.kept_from:
        typer.echo(f"  kept by {plain(screening.kept_from)} from: {plain(word(proposed)) if proposed else 'unknown'}")
    typer.echo(f"  by {plain(screening.firewall)} in {screening.took_us / 1000:.1f} ms, policy {_policy_of(screening)}")
    inputs = screenings.inputs_of(screening)
    for line in _inputs_told(inputs, show_numbers):
        typer.echo(f"  {line}")
    if content is None:
        typer.echo("  evaluated again: not here, since no firewall holds that bundle")
        return True
    try:
        bundle = seals.bundle_of(content)
        again = Evaluation(bundle).decide(inputs, screening.at_ms).rule_id
    except (seals.BadSeal, BundleUnfit) as why:
        typer.echo(f"  evaluated again: cannot be, {plain(str(why))}")
        return False
    if screening.verdict.policy != bundle.label:
        typer.echo(
            f"  evaluated again: not compared, since {plain(screening.verdict.policy)} answered and not the bundle"
        )
        return True
    rule = bundle.rule(again) if again is not None else None
    expected = word(proposed) if proposed is not None else "unknown"
    came = word(rule.verdict) if rule is not None else "pass"
    typer.echo(f"  evaluated again: {plain(came)}, {'the same' if came == expected else f'NOT {plain(expected)}'}")
    if rule is not None:
        typer.echo(f"  rule {plain(rule.rule_id)} (line {rule.line}, {plain(rule.owner)}): {plain(rule.when)}")
    return came == expected


def _policy_of(screening: screening_pb2.Screening) -> str:
    digest = f", sha256 {plain(screening.bundle)}" if screening.bundle else ""
    return f"{plain(screening.verdict.policy) or 'built in'}{digest}"


def _inputs_told(inputs: Mapping[str, Value], show_numbers: bool) -> list[str]:
    """What the rules were given, counts apart."""
    shown = dict(inputs)
    if not show_numbers:
        shown = {name: value for name, value in inputs.items() if name not in HIDDEN}
        shown["number"] = masked(str(inputs.get("number", "")))
    counts = {name: value for name, value in shown.items() if "_calls_" in name and value}
    others = {name: value for name, value in shown.items() if "_calls_" not in name and value not in ("", 0.0)}
    told = []
    for name, part in (("inputs", others), ("counts", counts)):
        if part:
            told.append(f"{name}: {', '.join(f'{key}={plain(str(part[key]))}' for key in sorted(part))}")
    return told


def _bundle(word_of: str, firewall: str) -> Bundle:
    """A bundle by its file, its version, or as what is live."""
    if word_of == "live" or word_of.isdecimal():
        firewalls = asking.addresses(firewall)
        said = policy_pb2.BundleRequest(version=SERVED if word_of == "live" else int(word_of))
        content = asking.over_grpc(lambda network: asking.first(network, firewalls, POLICY_BUNDLE, said)).content
        if not content:
            return built_in()
    else:
        try:
            content = confinement.content_of(Path(word_of))
        except confinement.CannotRead as why:
            refuse(f"{why}, a version or live", EXIT_FILE)
    try:
        return seals.bundle_of(content)
    except seals.BadSeal as why:
        refuse(plain(f"{word_of}: {why}"), EXIT_REFUSED)


COMMANDS: Final[dict[str, Callable[..., Any]]] = {
    "explain": explain,
    "status": status,
    "diff": diff,
    "history": history,
}
