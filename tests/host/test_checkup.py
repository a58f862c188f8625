"""The doctor's visit to a machine that is set up as docs/firewall.md says, and what it says of the way to Kafka."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from services.host.settings import ServiceSettings
from services.launch.checkup import Finding, check
from tests import acls
from tests.system.guarded_kafka import Authority

NO_KAFKA = "127.0.0.1:1"


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of ours from outside."""
    for name in [name for name in os.environ if name.startswith("THROUGHLINE_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files that the paper's settings name."""
    Authority(tmp_path)
    for name in acls.NAMES:
        (tmp_path / f"{name}.password").write_text("sesame\n")
    return tmp_path


async def visit(monkeypatch: pytest.MonkeyPatch, settings: dict[str, str]) -> tuple[list[Finding], list[Finding]]:
    """What is well, and what is not."""
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    findings = await check(NO_KAFKA, dict(os.environ))
    return [each for each in findings if each.well], [each for each in findings if not each.well]


async def test_one_services_machine_as_the_paper_has_it_is_well_but_for_who_types(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    """Its own name is the service's alone: the region needs none, and the others are on machines of their own."""
    well, (brokers,) = await visit(monkeypatch, acls.settings("firewall", folder, NO_KAFKA))
    assert brokers.subject == "brokers"
    assert "THROUGHLINE_KAFKA_USER" in brokers.what
    assert "THROUGHLINE_KAFKA_USER and THROUGHLINE_KAFKA_PASSWORD_FILE for who types this" in brokers.remedy
    assert "docs/firewall.md" in brokers.remedy
    said = {each.subject: each.what for each in well}
    assert "on this machine" in said["settings of router"]
    assert "on this machine" not in said["settings of firewall"]
    assert "region" in said


async def test_who_types_under_a_name_of_their_own_is_told_of_brokers(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    """The paper's operator, on the same machine."""
    settings = acls.settings("firewall", folder, NO_KAFKA) | acls.settings("operator", folder, NO_KAFKA)
    _, (brokers,) = await visit(monkeypatch, settings)
    assert brokers.what.startswith(f"no broker answers at {NO_KAFKA}")


async def test_a_service_with_settings_of_its_own_is_wrong_without_a_name(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    """It runs here, and would not start."""
    settings = acls.settings("firewall", folder, NO_KAFKA) | {"THROUGHLINE_ROUTER_LISTEN": "127.0.0.1:7300"}
    _, wrong = await visit(monkeypatch, settings)
    assert [each.subject for each in wrong] == ["settings of router", "brokers"]


@pytest.mark.parametrize("variable", ["THROUGHLINE_KAFKA_PASSWORD_FILE", "THROUGHLINE_KAFKA_CA_FILE"])
async def test_a_file_that_cannot_be_read_is_told(monkeypatch: pytest.MonkeyPatch, folder: Path, variable: str) -> None:
    """With its variable, once, and not of the region."""
    settings = acls.settings("operator", folder, NO_KAFKA) | {variable: str(folder / "nowhere")}
    _, (brokers,) = await visit(monkeypatch, settings)
    assert "nowhere: No such file or directory" in brokers.what
    assert variable in brokers.what


async def test_a_shared_setting_that_cannot_be_used_is_wrong_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has nothing to do with a name, and the remedy does not say so."""
    _, wrong = await visit(monkeypatch, {"THROUGHLINE_LOG_LEVEL": "loud"})
    assert len(wrong) == len(acls.SERVICES) + len(("region", "brokers"))
    assert not any("KAFKA_USER" in each.remedy for each in wrong)


def test_any_way_to_kafka_is_all_of_it() -> None:
    """A field that it left out would be looked at where something else is."""
    from services.launch.checkup import _ANY_WAY

    assert set(_ANY_WAY) == {field for field in ServiceSettings.model_fields if field.startswith("kafka_")}
