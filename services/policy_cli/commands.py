"""`throughline policy`: a policy from an idea to live, and back, at the edge of the world.

Exit codes: 0 all is well; 1 the bundle is refused, something grave was found, or a firewall refused; 2 an option that
cannot be used; 64 settings that cannot; 66 a file cannot be read, one that they name included; 69 no
firewall, or no journal, answers.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Final

import typer

from services.host.clock import wall_ms
from services.host.exits import EXIT_FILE
from services.host.settings import ROOT
from services.policy.files import signing
from services.policy_cli import confinement, deciding, looking, seals
from services.policy_cli.corpora import WHAT, Corpus
from services.policy_cli.ending import EXIT_REFUSED, refuse
from services.policy_cli.replay_command import replay_command
from services.readers.since import BadInstant, span_ms
from services.readers.wording import plain

REGION: Final = ROOT / "data" / "massachusetts"
VALID: Final = f"{signing.VALID_MIN_MS // 3_600_000}h to {signing.VALID_MAX_MS // 86_400_000}d"

policy = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)


@policy.callback()
def _policy() -> None:
    """What a firewall may say of calls: try a policy, sign it, bring it live in steps, and go back.

    The way: check, replay, sign, submit, shadow, canary, promote; and back: revert, bypass. docs/firewall.md leads
    through it with what each command answers.

    Examples: throughline policy check nuisance.yaml; throughline policy status --firewall 127.0.0.1:7100;
    throughline policy bypass on --key alice.key --firewall 127.0.0.1:7100,127.0.0.1:7101
    """


@policy.command("check")
def check(
    file: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The bundle's YAML file.")],
    corpus: Annotated[str, typer.Option(metavar="NAME", help="Calls to try it on: storm, day, flood or none.")] = "day",
    region: Annotated[Path, typer.Option(metavar="DIR", help="The region in which they are placed.")] = REGION,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a program.")] = False,
) -> None:
    """Say what is wrong with a bundle, line by line, and what to write instead; exit code 1 where it is refused.

    Reads, checks and evaluates it as a firewall does, in a child process whose memory, CPU and time are limited: a file
    may be hostile. Warnings do not refuse it.

    Examples: throughline policy check nuisance.yaml; throughline policy check nuisance.yaml --corpus none --json
    """
    content = content_of(file)
    try:
        checked = confinement.check(content, corpus_named(corpus), region)
    except confinement.CannotRead as why:
        refuse(f"{why}; name a region's folder with --region, or try it on no calls: --corpus none", EXIT_FILE)
    if as_json:
        typer.echo(json.dumps(checked.as_json(), indent=2))
    else:
        for remark in checked.errors:
            typer.echo(f"error: {plain_lines(remark.told(str(file)))}")
        for remark in checked.warnings:
            typer.echo(f"warning: {plain_lines(remark.told(str(file)))}")
        for rule_id, share in (checked.shares or {}).items():
            typer.echo(f"{plain(rule_id)} would speak for {share:.2%} of {WHAT[Corpus(corpus)]}")
        typer.echo(checked.conclusion())
    raise typer.Exit(EXIT_REFUSED if checked.errors else 0)


policy.command("replay")(replay_command)


@policy.command("keygen")
def keygen(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose key: as the history will name this person.")],
    folder: Annotated[Path, typer.Option(metavar="DIR", help="Where NAME.key is written.")] = Path(),
) -> None:
    """Make one person's key: NAME.key for them alone, and the line that the firewalls' file of keys is to hold.

    Nobody needs to see the private key again, and nothing can restore it. An existing file is never overwritten.

    Example: throughline policy keygen alice
    """
    try:
        path, public = seals.new_key(name, folder)
    except FileExistsError:
        refuse(
            f"{folder / (name + seals.KEY)} is there, and a key is never overwritten: move it, or name a --folder",
            EXIT_FILE,
        )
    except OSError as error:
        refuse(
            f"cannot write {folder / (name + seals.KEY)}: {error.strerror}; name a --folder that is there", EXIT_FILE
        )
    except ValueError as why:
        raise typer.BadParameter(str(why), param_hint="NAME") from None
    typer.echo(f"{path} is {name}'s alone; give firewalls this line in THROUGHLINE_FIREWALL_POLICY_KEYS:", err=True)
    typer.echo(f"{name}: {public}")


@policy.command("sign")
def sign(
    file: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The bundle's YAML file.")],
    key: Annotated[Path, typer.Option(metavar="FILE", help="The signer's private key: NAME.key.")],
    valid: Annotated[str, typer.Option(metavar="SPAN", help=f"For how long it counts, {VALID}: 12h, 30d.")] = "30d",
) -> None:
    """Sign a bundle, byte for byte, into BUNDLE.NAME.sig beside it. A bundle that is refused cannot be signed.

    Two different people sign what can divert more than the live bundle; one what cannot. A signature that has expired
    brings nothing live; what is live goes on, with an alarm, until it is signed and submitted again.

    Examples: throughline policy sign nuisance.yaml --key alice.key;
    throughline policy sign nuisance.yaml --key alice.key --valid 7d
    """
    valid_ms = valid_for(valid)
    content = content_of(file)
    try:
        person = seals.read_key(key)
    except seals.BadSeal as why:
        refuse(str(why), EXIT_FILE)
    checked = confinement.check(content, "", REGION)
    if checked.errors:
        refuse(plain_lines(checked.errors[0].told(str(file))), EXIT_REFUSED)
    bundle = seals.bundle_of(content)
    signature = signing.sign_bundle(person.private, person.name, bundle, wall_ms(), valid_ms)
    try:
        path = seals.write_signature(file, signature)
    except OSError as error:
        refuse(f"cannot write beside {file}: {error.strerror}", EXIT_FILE)
    typer.echo(f"{person.name} signs {plain(bundle.label)}, version {bundle.version}, sha256 {bundle.digest}")
    typer.echo(f"written to {path}; it counts for {valid}")


for _name, _command in (*deciding.COMMANDS.items(), *looking.COMMANDS.items()):
    policy.command(_name)(_command)


def content_of(file: Path) -> bytes:
    """The bundle's bytes; ends with one line where there are none."""
    try:
        return confinement.content_of(file)
    except confinement.CannotRead as why:
        refuse(str(why), EXIT_FILE)


def valid_for(text: str) -> int:
    """Milliseconds for which a signature counts; ends with a usage error."""
    try:
        span = span_ms(text)
    except BadInstant:
        span = 0
    if not signing.VALID_MIN_MS <= span <= signing.VALID_MAX_MS:
        raise typer.BadParameter(f"expected {VALID}, such as 12h or 30d; got {text[:80]!r}", param_hint="--valid")
    return span


def corpus_named(name: str) -> str:
    """A corpus' name, empty for none; ends with a usage error."""
    if name == "none":
        return ""
    if name not in tuple(Corpus):
        raise typer.BadParameter(f"expected one of {', '.join(Corpus)}, none; got {name!r}", param_hint="--corpus")
    return name


def plain_lines(text: str) -> str:
    """A text of a stranger's with its line breaks and nothing else that a terminal would obey."""
    return "\n".join(plain(line) for line in text.split("\n"))
