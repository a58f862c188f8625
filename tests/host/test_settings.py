"""Settings: where each comes from, and what is said of a bad one."""

from __future__ import annotations

from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from services.host.addresses import host_port
from services.host.settings import Addresses, Bad, ServiceSettings, load, unknown


class BellSettings(ServiceSettings):
    """A service of the tests."""

    service: ClassVar[str] = "bell"
    ring_ms: int = Field(15_000, ge=1, description="Milliseconds to ring.")
    others: Addresses = Field((), description="Other bells.")


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of ours from outside."""
    for name in ("THROUGHLINE_KAFKA", "THROUGHLINE_NAME", "THROUGHLINE_LISTEN", "THROUGHLINE_REGION_DIR"):
        monkeypatch.delenv(name, raising=False)


def test_a_shared_variable_serves_every_service_and_its_own_is_stronger(monkeypatch: pytest.MonkeyPatch) -> None:
    """`THROUGHLINE_<SERVICE>_<FIELD>` stands above `THROUGHLINE_<FIELD>`."""
    monkeypatch.setenv("THROUGHLINE_KAFKA", "a:1, b:2")
    assert load(BellSettings).kafka == ("a:1", "b:2")
    monkeypatch.setenv("THROUGHLINE_BELL_KAFKA", "c:3")
    assert load(BellSettings).kafka == ("c:3",)


def test_a_field_of_one_service_is_not_read_from_the_shared_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """`THROUGHLINE_RING_MS` could be anybody's, so it is nobody's."""
    monkeypatch.setenv("THROUGHLINE_RING_MS", "3")
    assert load(BellSettings).ring_ms == 15_000
    monkeypatch.setenv("THROUGHLINE_BELL_RING_MS", "4")
    assert load(BellSettings).ring_ms == 4


def test_a_replica_is_called_like_its_service_unless_named() -> None:
    """The default name is the service's."""
    assert load(BellSettings).name == "bell"
    assert load(BellSettings, name="bell-2").name == "bell-2"


def test_settings_are_frozen() -> None:
    """What was read at the start stands until the end."""
    settings = load(BellSettings)
    with pytest.raises(ValidationError, match="frozen"):
        settings.ring_ms = 1  # type: ignore[misc]


def test_each_bad_field_gives_one_line_with_its_variable_what_came_and_what_is_meant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All bad fields are told at once, not one a start."""
    monkeypatch.setenv("THROUGHLINE_KAFKA", "nowhere")
    monkeypatch.setenv("THROUGHLINE_BELL_RING_MS", "soon")
    monkeypatch.setenv("THROUGHLINE_BELL_NAME", "Big Bell")
    with pytest.raises(Bad) as bad:
        load(BellSettings)
    assert len(bad.value.lines) == 3
    assert all("\n" not in line for line in bad.value.lines)
    kafka, ring = (next(line for line in bad.value.lines if word in line) for word in ("KAFKA", "RING"))
    assert kafka.startswith("THROUGHLINE_KAFKA: expected host:port")
    assert "'nowhere'" in kafka
    assert "got 'soon'. Milliseconds to ring." in ring


def test_a_misspelt_variable_is_told_with_what_was_meant() -> None:
    """A slip would otherwise be a setting that silently is not set."""
    environment = {"THROUGHLINE_BELL_RIGN_MS": "3", "THROUGHLINE_BELL_RING_MS": "3", "HOME": "/"}
    assert unknown(BellSettings, environment) == [
        "THROUGHLINE_BELL_RIGN_MS sets nothing; is THROUGHLINE_BELL_RING_MS meant?"
    ]


def test_the_variables_that_kubernetes_adds_for_a_service_are_no_slips() -> None:
    """A Service called throughline-bell puts these into every pod."""
    links = ("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_GRPC", "PORT", "PORT_50051_TCP", "PORT_50051_TCP_ADDR")
    assert unknown(BellSettings, {f"THROUGHLINE_BELL_{link}": "x" for link in links}) == []


@given(st.from_regex(r"[a-z0-9.-]{1,20}", fullmatch=True), st.integers(0, 65_535))
def test_an_address_is_host_and_port(host: str, port: int) -> None:
    """What is right is taken as it is."""
    assert host_port(f"{host}:{port}") == f"{host}:{port}"


@pytest.mark.parametrize("text", ["", "host", "host:", ":1", "host:65536", "host:-1", "host:1x"])
def test_what_is_no_address_is_refused(text: str) -> None:
    """The message says what was expected and what came."""
    with pytest.raises(ValueError, match=r"expected host:port.*got"):
        host_port(text)
