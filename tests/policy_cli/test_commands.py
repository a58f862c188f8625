"""The desk's commands at the edge: options, exit codes, files, and one line for what is wrong."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from services.host.settings import ROOT
from services.policy.files import signing
from services.policy.files.canonical import Action, Order
from services.policy.files.reading import BYTES_MAX
from services.policy_cli import confinement, seals
from services.policy_cli.commands import policy

EXAMPLES = ROOT / "data" / "policy" / "examples"
NUISANCE = EXAMPLES / "nuisance.yaml"
EVERYTHING = EXAMPLES / "everything.yaml"
NOBODY = "127.0.0.1:9"
CALL: dict[str, Any] = {
    "at_ms": 1_718_718_900_000,
    "caller": "+16175550190",
    "lat": 42.36,
    "lon": -71.06,
    "radius_m": 100,
    "trunk": "t",
}


def invoke(*words: str | Path) -> Result:
    return CliRunner().invoke(policy, [str(word) for word in words])


def checked(file: Path) -> Result:
    return invoke("check", file, "--corpus", "none")


def trace(path: Path, count: int = 60) -> Path:
    """One caller of the nuisance list, a call each 20 s."""
    calls = [CALL | {"call_id": f"c{index:02d}", "at_ms": CALL["at_ms"] + index * 20_000} for index in range(count)]
    path.write_text("".join(json.dumps(each) + "\n" for each in calls))
    return path


@pytest.mark.parametrize("name", ["nuisance", "flood", "everything"])
def test_the_examples_can_be_used(name: str) -> None:
    """What the paper shows is what the checker takes."""
    result = checked(EXAMPLES / f"{name}.yaml")
    assert result.exit_code == 0, result.output
    assert "can be used" in result.stdout


def test_a_policy_that_blocks_is_refused_with_its_line_and_what_to_write() -> None:
    """There is no verdict that keeps a call from a person (promise 3)."""
    result = checked(EXAMPLES / "refused.yaml")
    assert result.exit_code == 1
    number = (EXAMPLES / "refused.yaml").read_text().split("\n").index("    verdict: block") + 1
    assert f"refused.yaml:{number}: " in result.stdout
    assert "divert: nuisance-desk" in result.stdout


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", id="a bomb"),
        pytest.param(b"name: \xff\xfe\n", id="no UTF-8"),
        pytest.param(b"name: a\nname: b\n", id="a key twice"),
        pytest.param(b"[" * 100_000, id="depth"),
        pytest.param(b"!!python/object/apply:os.system ['true']\n", id="a tag"),
        pytest.param(b"x" * (BYTES_MAX + 1), id="too large"),
        pytest.param(b"", id="empty"),
    ],
)
def test_hostile_bytes_are_refused_in_the_child(tmp_path: Path, content: bytes) -> None:
    """A refusal like any other, whatever they would do to a careless reader."""
    file = tmp_path / "hostile.yaml"
    file.write_bytes(content)
    result = checked(file)
    assert result.exit_code == 1, result.output
    assert result.stdout.startswith(f"error: {file}")
    assert "the checker ended" not in result.stdout


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        ({"deadline_s": 0.01}, "took more than 0 s"),
        ({"memory_bytes": 1024**2}, "more than 1 MiB of memory"),
    ],
)
def test_a_check_that_passes_a_limit_is_a_refusal(limits: dict[str, Any], why: str) -> None:
    """Cloudflare, 2019: what burns its reader's CPU burns that of a child, and is never taken."""
    large = NUISANCE.read_bytes() + b"#" * (BYTES_MAX - 2_000)
    refused = confinement.check(large, "", ROOT, **limits)
    assert [why in remark.what for remark in refused.errors] == [True], refused


def test_a_file_that_burns_the_checkers_cpu_is_refused_by_the_kernel() -> None:
    """450,000 items and a thousand rules that ask for them take 2.6 s here; given one, the child is ended, not waited
    for."""
    items = ",".join(f"s{index}" for index in range(90_000))
    lists = "".join(f"  l{name}: {{kind: source, items: [{items}]}}\n" for name in range(5))
    rule = (
        "  - {{id: r{0}, reason: x, verdict: {{flag: 4}}, forecast_share: 0.0, owner: d, "
        "when: 'source in lists.l1 && (lat > 41.{0} || hour > 3)', expires: 2099-01-01T00:00:00Z}}\n"
    )
    head = NUISANCE.read_text().partition("rules:\n")[0].replace("lists:\n", "lists:\n" + lists)
    content = head + "rules:\n" + "".join(rule.format(index) for index in range(1_000))
    [remark] = confinement.check(content.encode(), "", ROOT, cpu_s=0).errors
    assert remark.what == "checking it took more than 0 s of CPU"


def test_what_cannot_be_evaluated_is_refused_at_its_line(tmp_path: Path) -> None:
    """CrowdStrike, 2024: what the checker takes, the evaluator can take; they are one."""
    file = tmp_path / "odd.yaml"
    file.write_text(NUISANCE.read_text().replace("number_calls_60s >= 6", 'number_calls_60s == "six"'))
    result = checked(file)
    assert result.exit_code == 1
    assert re.search(r"odd\.yaml:\d+: rule caller-repeats: ", result.stdout)


def test_a_program_is_told_the_same_in_json() -> None:
    """With the digest that is signed."""
    said = json.loads(invoke("check", NUISANCE, "--corpus", "none", "--json").stdout)
    assert (said["refused"], said["errors"]) == (False, [])
    assert said["bundle"]["sha256"] == seals.bundle_of(NUISANCE.read_bytes()).digest


@pytest.mark.parametrize("command", ["check", "replay", "sign", "submit"])
def test_a_file_that_is_not_there_is_said_in_one_line(tmp_path: Path, command: str) -> None:
    """Exit code 66."""
    more = {"sign": ["--key", str(tmp_path / "a.key")], "submit": ["--firewall", NOBODY]}.get(command, [])
    result = invoke(command, tmp_path / "none.yaml", *more)
    assert result.exit_code == 66
    assert len(result.stderr.splitlines()) == 1


def test_a_key_is_its_owners_alone_and_is_never_overwritten(tmp_path: Path) -> None:
    """Whoever can read it is that person, for a firewall; whoever loses it cannot sign."""
    made = invoke("keygen", "alice", "--folder", tmp_path)
    assert made.exit_code == 0
    key = tmp_path / "alice.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    before = key.read_bytes()
    assert invoke("keygen", "alice", "--folder", tmp_path).exit_code == 66
    assert key.read_bytes() == before
    keys = signing.read_keys(made.stdout.encode())
    assert keys.names == ("alice",)
    assert invoke("keygen", "../mallory", "--folder", tmp_path).exit_code == 2


def test_what_sign_writes_is_a_signature_that_counts(tmp_path: Path) -> None:
    """By the firewalls' own check, of these bytes and no others."""
    bundle = tmp_path / "nuisance.yaml"
    bundle.write_bytes(NUISANCE.read_bytes())
    public = invoke("keygen", "alice", "--folder", tmp_path).stdout
    result = invoke("sign", bundle, "--key", tmp_path / "alice.key", "--valid", "12h")
    assert result.exit_code == 0, result.output
    [path] = seals.signatures_beside(bundle)
    signature = seals.read_signature(path)
    keys = signing.read_keys(public.encode())
    read = seals.bundle_of(bundle.read_bytes())
    assert keys.of_bundle(read.version, read.digest, [signature], signature.signed_ms).signers == {"alice"}
    assert not keys.of_bundle(read.version, "0" * 64, [signature], signature.signed_ms).signers
    assert signature.expires_ms - signature.signed_ms == 12 * 3_600_000


@pytest.mark.parametrize("valid", ["0", "0d", "-1d", "59m", "90.001d", "99999d", "soon", "1 year", "nan", ""])
def test_a_signature_counts_for_hours_to_months_and_the_refusal_says_the_bounds(tmp_path: Path, valid: str) -> None:
    """One for 273 years would never be looked at again (L8): a usage error, and nothing is signed."""
    bundle = tmp_path / "nuisance.yaml"
    bundle.write_bytes(NUISANCE.read_bytes())
    invoke("keygen", "alice", "--folder", tmp_path)
    result = invoke("sign", bundle, "--key", tmp_path / "alice.key", f"--valid={valid}")
    assert result.exit_code == 2, result.output
    assert "expected 1h to 90d" in " ".join(re.sub("[│╭╰─]", " ", result.stderr).split())
    assert seals.signatures_beside(bundle) == []
    assert "1h to 90d" in " ".join(invoke("sign", "--help").stdout.split())


def test_a_bundle_that_is_refused_cannot_be_signed(tmp_path: Path) -> None:
    """Nobody puts a name under what no firewall takes."""
    invoke("keygen", "alice", "--folder", tmp_path)
    result = invoke("sign", EXAMPLES / "refused.yaml", "--key", tmp_path / "alice.key")
    assert result.exit_code == 1
    assert seals.signatures_beside(EXAMPLES / "refused.yaml") == []


def test_an_order_under_way_to_a_second_person_stays_what_it_was(tmp_path: Path) -> None:
    """Both sign the same bytes, or the second signature is of another order."""
    private = signing.new_private_key()
    order = Order(Action.PROMOTE, 1_000, 7, "a" * 64, True, "because")
    signature = signing.sign_order(private, "alice", order, 1_000)
    seals.write_order(tmp_path / "order.json", order, [signature])
    assert seals.read_order(tmp_path / "order.json") == (order, [signature])


def test_a_page_that_cannot_be_written_is_told_before_anything_is_replayed(tmp_path: Path) -> None:
    """A replay takes a minute; its report is not to be lost for a mistyped folder."""
    result = invoke("replay", NUISANCE, "--html", tmp_path / "nowhere" / "replay.html")
    assert (result.exit_code, result.stdout) == (66, "")
    assert "there is no such folder; make it, or name another file" in result.stderr


def test_calls_come_from_one_place(tmp_path: Path) -> None:
    """Who names two would be told of one, and take it for the other."""
    calls = trace(tmp_path / "calls.jsonl", 1)
    for words in (
        ("--corpus", "day", "--trace", calls),
        ("--corpus", "day", "--recorded", "7d"),
        ("--trace", calls, "--recorded", "7d"),
    ):
        result = invoke("replay", NUISANCE, *words)
        assert result.exit_code == 2 and "expected one of them" in result.stderr, result.output


def test_a_replay_that_finds_nothing_grave_ends_well_and_writes_its_page(tmp_path: Path) -> None:
    """The page stands beside the text, with the same digest."""
    page = tmp_path / "replay.html"
    result = invoke("replay", NUISANCE, "--trace", trace(tmp_path / "calls.jsonl", 9), "--html", page)
    assert result.exit_code == 1  # one caller of nine calls, all of the state's: more than its limit
    assert "newly diverted" in result.stdout
    digest = re.search(r"replay ([0-9a-f]{12})", result.stdout)
    assert digest is not None
    assert digest[1] in page.read_text()


def test_the_same_replay_comes_out_the_same_in_another_process_of_mind(tmp_path: Path) -> None:
    """Measures of time apart."""
    words = ("replay", NUISANCE, "--trace", trace(tmp_path / "calls.jsonl"), "--json")
    one, other = (json.loads(invoke(*words).stdout) for _ in range(2))
    assert one.pop("measured") is not None
    assert other.pop("measured") is not None
    assert one == other
    assert one["changes"]["newly_diverted"] > 0


def test_a_bundle_beside_itself_changes_nothing(tmp_path: Path) -> None:
    """And ends with exit code 0 only where the breakers would let it live."""
    words = ("replay", NUISANCE, "--live", NUISANCE, "--trace", trace(tmp_path / "calls.jsonl"), "--json")
    changes = json.loads(invoke(*words).stdout)["changes"]
    assert {name for name, calls in changes.items() if calls} == {"same"}


def test_a_bundle_that_diverts_everything_is_caught_in_its_replay() -> None:
    """Massachusetts, 18 June 2024, pushed the normal way: grave, with the breaker that would stop it, and no live call
    touched."""
    result = invoke("replay", EVERYTHING, "--corpus", "flood")
    assert result.exit_code == 1
    assert "grave: the breaker state would trip" in result.stdout
    assert "grave: flood-over-a-trunk spoke for" in result.stdout


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "expected a call as JSON"),
        ("[]", "got list"),
        ('{"call_id": "a"}', "'at_s' is missing"),
        ('{"at_ms": 1, "device": "drum"}', "device: expected one of"),
        ('{"at_ms": 1, "caller": 5}', "caller: expected a text"),
        ('{"at_ms": -1}', "at_ms: expected milliseconds"),
        ('{"at_s": "NaN"}', "cannot"),
        ("[" * 10_000, "expected a call as JSON"),
    ],
)
def test_a_trace_that_cannot_be_read_is_told_with_its_line(tmp_path: Path, line: str, why: str) -> None:
    """Exit code 66: a trace is a stranger's file, too."""
    calls = trace(tmp_path / "calls.jsonl", 2)
    calls.write_text(calls.read_text() + line + "\n")
    result = invoke("replay", NUISANCE, "--trace", calls)
    assert result.exit_code == 66
    assert "calls.jsonl:3: " in result.stderr
    assert why in result.stderr


def test_bundles_are_compared_with_the_people_that_the_new_one_takes() -> None:
    """What a second person looks at before signing."""
    more = invoke("diff", EVERYTHING, NUISANCE)
    assert more.exit_code == 0
    assert "+ list nuisance: 2 items" in more.stdout
    assert "two people sign it" in more.stdout
    assert "they say the same" in invoke("diff", NUISANCE, NUISANCE).stdout


@pytest.mark.parametrize(
    "words",
    [
        ("check", str(NUISANCE), "--corpus", "noon"),
        ("replay", str(NUISANCE), "--zone", "Mars/Olympus"),
        ("replay", str(NUISANCE), "--recorded", "soon"),
        ("status",),
        ("status", "--firewall", "nowhere"),
        ("bypass", "perhaps", "--key", "a.key", "--firewall", NOBODY),
    ],
)
def test_an_option_that_cannot_be_used_is_a_usage_error(words: tuple[str, ...]) -> None:
    """Exit code 2, with the option's name."""
    result = invoke(*words)
    assert result.exit_code == 2, result.output
    assert "Usage" in result.stderr


@pytest.mark.parametrize("words", [("status",), ("history",), ("explain", "c1"), ("diff", "live", str(NUISANCE))])
def test_firewalls_that_do_not_answer_are_said_in_one_line(words: tuple[str, ...]) -> None:
    """Exit code 69, with where to say another."""
    result = invoke(*words, "--firewall", NOBODY)
    assert result.exit_code == 69, result.output
    assert "firewall" in result.stderr


def test_every_command_helps_with_an_example() -> None:
    """An operator at three in the morning reads the help alone."""
    assert "Examples: throughline policy check" in re.sub(r"\s+", " ", invoke("--help").stdout)
    for command in policy.registered_commands:
        assert command.name is not None
        shown = invoke(command.name, "--help")
        assert shown.exit_code == 0
        assert f"throughline policy {command.name}" in re.sub(r"\s+", " ", shown.stdout)


def test_a_folder_that_is_no_region_is_no_fault_of_the_bundle(tmp_path: Path) -> None:
    """Exit code 66, as for any file that is not there: nothing is said against the policy."""
    for command in ("check", "replay"):
        result = invoke(command, NUISANCE, "--region", tmp_path / "none")
        assert (result.exit_code, result.stdout) == (66, ""), result.output
        assert "holds no region that can be used" in result.stderr


def test_a_replay_over_no_calls_says_that_nothing_is_known(tmp_path: Path) -> None:
    """No breaker would have stopped anything: the operator is told what to replay it over."""
    calls = tmp_path / "empty.jsonl"
    calls.write_text("")
    result = invoke("replay", NUISANCE, "--trace", calls)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1].startswith("nothing is known of this bundle: replay it over calls")


@pytest.mark.parametrize(
    ("words", "helped"), [(("bypass", "on"), True), (("revert",), True), (("bypass", "off"), False)]
)
def test_who_must_go_back_and_reaches_no_firewall_is_told_the_way_without_a_network(
    tmp_path: Path, words: tuple[str, ...], helped: bool
) -> None:
    """Callers are diverted meanwhile: the file of the bypass, or the firewall stopped (promise 2)."""
    assert invoke("keygen", "bob", "--folder", tmp_path).exit_code == 0
    result = invoke(*words, "--key", tmp_path / "bob.key", "--firewall", NOBODY)
    assert result.exit_code == 69
    assert ("THROUGHLINE_FIREWALL_BYPASS_FILE" in result.stderr) is helped


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("keygen", "bob", "--folder", "."), "never overwritten: move it, or name a --folder"),
        (("keygen", "bob", "--folder", "nowhere"), "name a --folder that is there"),
        (("check", "."), "expected a policy, as a YAML file"),
        (("status",), "--firewall HOST:PORT,HOST:PORT, or in THROUGHLINE_INGRESS_FIREWALLS"),
        (("diff", "refused.yaml", "refused.yaml"), "write verdict: {divert: nuisance-desk}"),
        (("sign", "nuisance.yaml", "--key", "bob.key", "--valid", "9" * 400 + "d"), "1h to 90d, such as 12h or 30d"),
    ],
)
def test_a_refusal_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], told: str
) -> None:
    """Whoever reads it has callers waiting, and not the source."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("THROUGHLINE_INGRESS_FIREWALLS", raising=False)
    for name in ("nuisance.yaml", "refused.yaml"):
        (tmp_path / name).write_bytes((EXAMPLES / name).read_bytes())
    assert invoke("keygen", "bob").exit_code == 0
    result = invoke(*words)
    assert result.exit_code != 0
    assert told in " ".join(result.stderr.split())


def test_a_file_too_large_is_not_told_as_if_it_had_been_read_whole(tmp_path: Path) -> None:
    """It is read to the limit and one byte: how large it is nobody knows."""
    file = tmp_path / "large.yaml"
    with file.open("wb") as sparse:
        sparse.truncate(50_000_000)
    assert f"more than {BYTES_MAX} bytes" in checked(file).stdout
