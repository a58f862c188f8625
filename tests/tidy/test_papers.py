"""The papers say what is there: every path, command, setting and link in them exists, with the value they give."""

from __future__ import annotations

import importlib
import re
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main

from services import cli
from services.host.settings import ServiceSettings
from services.launch.catalogue import SERVICES

ROOT = Path(__file__).parents[2]
DECISIONS = ROOT / "docs" / "decisions"
PAPERS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
DECISION_PARTS = ("**Context.**", "**Choice.**", "**Price.**", "**How we would know we were wrong.**")

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_PATH = re.compile(r"[\w.][\w./*-]*")
_SUFFIXES = (".py", ".md", ".toml", ".proto", ".lock", ".csv", ".geojson", ".binpb", ".sh")
_MAKE = re.compile(r"\bmake ([a-z][a-z-]*)")
_COMMAND = re.compile(r"(?:^|[\s/])throughline ((?:[a-z][a-z-]*)(?: [^\s`#|&]+)*)", re.MULTILINE)
_VARIABLE = re.compile(r"THROUGHLINE_[A-Z][A-Z_]*[A-Z]\b")
_RULE = re.compile(r"""(?<!["'])\b[PRJTL][1-9]\b(?!["'])""")  # in quotes it is some PSAP's name
_RULE_TOLD = re.compile(r"^- \*\*([PRJTL][1-9])\*\* \((built|in part|to come)\)", re.MULTILINE)
_PAPER_CITED = re.compile(r"(?<![\w/*])((?:docs/)?[a-zA-Z-]+\.md)\b")
_BOUND = re.compile(r"\| `?([0-9.]+)`? \| `(THROUGHLINE_[A-Z_]+)` \|")

each_paper = pytest.mark.parametrize("paper", PAPERS, ids=lambda path: path.relative_to(ROOT).as_posix())


@cache
def names() -> frozenset[str]:
    """Every file and folder that git holds or would add, from the root."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = [Path(line) for line in listed.stdout.splitlines() if (ROOT / line).exists()]
    return frozenset(each.as_posix() for path in found for each in (path, *path.parents))


def spans(text: str) -> list[str]:
    """What stands in backticks, outside the blocks."""
    return _SPAN.findall(_FENCE.sub("", text))


def code(text: str) -> str:
    """Blocks and backticks, one after the other."""
    return "\n".join([*(block for _, block in _FENCE.findall(text)), *spans(text)])


def looks_like_a_path(word: str) -> bool:
    """Whether a word in backticks must name a file or folder of ours."""
    top, slash, _ = word.partition("/")
    if not _PATH.fullmatch(word):
        return False
    return top in names() if slash else word.endswith(_SUFFIXES)


def exists(word: str) -> bool:
    """From the root; a bare name may also be any file's last part."""
    word = word.removesuffix("/")
    if "*" in word:
        return any(True for _ in ROOT.glob(word))
    return word in names() or ("/" not in word and any(name.endswith(f"/{word}") for name in names()))


def targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def command_named(name: str) -> Any:
    """The command behind `throughline NAME`, loaded if it is loaded late; None where there is none."""
    later = cli.LATER.get(name)
    if later is None:
        whole: Any = typer.main.get_command(cli.app)
        return whole.commands.get(name)
    held = getattr(importlib.import_module(later.module), later.attribute)
    if not isinstance(held, typer.Typer):
        single = typer.Typer()
        single.command(name)(held)
        held = single
    return typer.main.get_command(held)


def trouble_with(command: str) -> str | None:
    """What is wrong with `throughline COMMAND`, or None."""
    first, *words = command.split()
    here = command_named(first)
    if here is None:
        return f"throughline {command}: no command {first}"
    for word in words:
        if word.startswith("--"):
            options = {option for parameter in here.params for option in parameter.opts}
            if word.partition("=")[0] not in options:
                return f"throughline {command}: no option {word}; there are {sorted(options)}"
        elif hasattr(here, "commands"):
            if word not in here.commands:
                return f"throughline {command}: no command {word}; there are {sorted(here.commands)}"
            here = here.commands[word]
    return None


def settings() -> dict[str, object]:
    """Each variable of each service, with its default."""
    kinds: list[type[ServiceSettings]] = [
        ServiceSettings,
        *(each.load_settings() for each in SERVICES.values()),
    ]
    return {
        variable: field.default
        for kind in kinds
        for name, field in kind.model_fields.items()
        for variable in kind.variables(name)
    }


def slugs(text: str) -> Iterator[str]:
    """The anchors that headings get."""
    for heading in re.findall(r"^#+ (.+)$", _FENCE.sub("", text), re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@each_paper
def test_every_path_that_a_paper_names_exists(paper: Path) -> None:
    """A reader who follows a path finds a file."""
    words = spans(paper.read_text("utf-8"))
    assert [word for word in words if looks_like_a_path(word) and not exists(word)] == []


@each_paper
def test_every_link_of_a_paper_leads_somewhere(paper: Path) -> None:
    """Files and headings; addresses of the web are not looked at."""
    text = paper.read_text("utf-8")
    dead = []
    for link in _LINK.findall(_SPAN.sub("", _FENCE.sub("", text))):
        if "://" in link:
            continue
        target, _, anchor = link.partition("#")
        path = (paper.parent / target).resolve() if target else paper
        if not path.exists() or (anchor and anchor not in slugs(path.read_text("utf-8"))):
            dead.append(link)
    assert dead == []


@each_paper
def test_every_command_that_a_paper_names_can_be_given(paper: Path) -> None:
    """`make X` is a target, `throughline X` a command with these options."""
    text = code(paper.read_text("utf-8"))
    assert set(_MAKE.findall(text)) <= targets()
    troubles = [trouble_with(command) for command in _COMMAND.findall(text)]
    assert [trouble for trouble in troubles if trouble] == []


@each_paper
def test_every_setting_that_a_paper_names_exists_with_the_value_given(paper: Path) -> None:
    """A table row of a number and a variable gives the variable's default."""
    text = paper.read_text("utf-8")
    known = settings()
    assert set(_VARIABLE.findall(text)) <= set(known)
    wrong = [
        f"{variable} is {known[variable]}, not {value}"
        for value, variable in _BOUND.findall(text)
        if float(str(known[variable])) != float(value)
    ]
    assert wrong == []


def test_the_tree_in_the_architecture_is_the_tree() -> None:
    """Every line of it exists, and no part of the house is missing from it."""
    block = (ROOT / "ARCHITECTURE.md").read_text("utf-8").partition("## The tree")[2]
    lines = _FENCE.findall(block)[0][1].splitlines()
    words = {word.removesuffix("/") for line in lines for word in line.partition("  ")[0].split()}
    assert sorted(word for word in words if word not in names()) == []
    told = words | {parent.as_posix() for word in words for parent in Path(word).parents}
    rooms = {name for name in names() if (ROOT / name).is_dir() and name != "."}
    wanted = {
        name
        for name in rooms
        if "/" not in name or re.fullmatch(r"(services|tests|loadtest|deploy|data|docs|bench)/\w+", name)
    }
    assert sorted(wanted - told) == []


def modules(*folders: str) -> Iterator[tuple[str, str]]:
    """Name and text of the modules and protos under these folders."""
    for name in sorted(names()):
        if name.startswith(folders) and name.endswith((".py", ".proto")) and name != "tests/tidy/test_papers.py":
            yield name, (ROOT / name).read_text("utf-8")


def rules() -> dict[str, str]:
    """Each rule of a call, and how far it is said to be built."""
    return dict(_RULE_TOLD.findall((ROOT / "docs" / "protocol.md").read_text("utf-8")))


def test_every_rule_that_code_cites_is_written_down() -> None:
    """A number that leads nowhere explains nothing."""
    known = rules()
    code_of_ours = modules("services/", "tests/", "protos/", "loadtest/", "deploy/", "bench/", "chaos/")
    unknown = {(name, rule) for name, text in code_of_ours for rule in _RULE.findall(text) if rule not in known}
    assert sorted(unknown) == []


def test_every_rule_that_is_said_to_be_built_is_cited_by_a_test() -> None:
    """Built means that something would notice if it were not."""
    cited = {rule for _, text in modules("tests/") for rule in _RULE.findall(text)}
    assert sorted(rule for rule, state in rules().items() if state == "built" and rule not in cited) == []


def test_every_paper_that_code_cites_is_there() -> None:
    """By its name, whatever the case of its letters: architecture.md is ARCHITECTURE.md."""
    known = {Path(name).name.lower() for name in names() if name.endswith(".md")}
    code_of_ours = modules("services/", "tests/", "protos/", "loadtest/", "deploy/", "bench/", "chaos/")
    lost = {
        (name, cited)
        for name, text in code_of_ours
        for cited in _PAPER_CITED.findall(text)
        if Path(cited).name.lower() not in known
    }
    assert sorted(lost) == []


def test_decision_records_have_their_four_parts_and_stand_in_the_list() -> None:
    """Context, choice, price, how we would know we were wrong; numbered without a gap."""
    records = sorted(DECISIONS.glob("[0-9]*.md"))
    listed = (DECISIONS / "README.md").read_text("utf-8")
    for number, record in enumerate(records, 1):
        text = record.read_text("utf-8")
        title = text.partition("\n")[0]
        assert title.startswith(f"# {number:04}. "), record.name
        assert record.name.startswith(f"{number:04}-"), record.name
        at = [text.find(part) for part in DECISION_PARTS]
        assert -1 not in at, f"{record.name}: expected {DECISION_PARTS}"
        assert at == sorted(at), record.name
        assert f"[{number:04}]({record.name}) | {title[8:]} |" in listed, record.name


def test_the_changelog_knows_the_version() -> None:
    """What is built is what is told."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_every_data_file_has_its_origin_in_the_notice() -> None:
    """Data of others is named with its licence."""
    notice = (ROOT / "NOTICE").read_text("utf-8")
    data = [Path(name) for name in names() if name.startswith(("data/", "loadtest/bursts/"))]
    files = [path.name for path in data if path.suffix in (".csv", ".geojson")]
    assert files
    assert [name for name in files if name not in notice] == []


@pytest.mark.parametrize("word", ["services/nowhere.py", "services/domain/nothing*.py", "nowhere.toml"])
def test_a_path_that_is_not_there_is_noticed(word: str) -> None:
    """The check itself can fail."""
    assert looks_like_a_path(word)
    assert not exists(word)


@pytest.mark.parametrize("command", ["fly", "run ingress --backwards", "topics fly"])
def test_a_command_that_is_not_there_is_noticed(command: str) -> None:
    """The check itself can fail."""
    assert trouble_with(command)
