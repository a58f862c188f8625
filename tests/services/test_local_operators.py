"""Who signs policies in an installation of one machine: two people of its own, or those that its environment names."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from services.launch.credentials import OPERATORS, POLICY_KEYS, PRODUCTION, policy_settings
from services.policy.files.built_in import built_in
from services.policy.files.signing import read_keys, sign_bundle
from services.policy_cli.seals import read_key

NOW_MS = 1_800_000_000_000


def test_two_people_of_its_own_can_sign_what_its_firewalls_take(tmp_path: Path) -> None:
    """What can divert more takes two signatures, and both people are in the file that firewalls read (L8)."""
    settings, folder = policy_settings(tmp_path, {})
    assert folder is not None
    bundle = built_in()
    people = [read_key(folder / f"{name}.key") for name in OPERATORS]
    signed = [sign_bundle(each.private, each.name, bundle, NOW_MS, 60_000) for each in people]
    known = read_keys(Path(settings[POLICY_KEYS]).read_bytes())
    assert known.of_bundle(bundle.version, bundle.digest, signed, NOW_MS).lacks(2) == ""
    assert known.of_bundle(bundle.version, bundle.digest, signed[:1], NOW_MS).lacks(2) != ""
    for name in OPERATORS:
        assert stat.S_IMODE((folder / f"{name}.key").stat().st_mode) == 0o600


def test_their_keys_stay_when_the_installation_is_started_again(tmp_path: Path) -> None:
    """What they have signed may be live, and must not fall with a restart (L8)."""
    settings, folder = policy_settings(tmp_path, {})
    assert folder is not None
    public = Path(settings[POLICY_KEYS])
    before = [public.read_bytes(), *((folder / f"{name}.key").read_bytes() for name in OPERATORS)]
    assert policy_settings(tmp_path, {}) == (settings, folder)
    assert [public.read_bytes(), *((folder / f"{name}.key").read_bytes() for name in OPERATORS)] == before


@pytest.mark.parametrize("environment", [{POLICY_KEYS: "/somewhere/keys"}, {PRODUCTION: "1"}, {PRODUCTION: "True"}])
def test_nobody_is_made_who_could_sign_where_others_are_named_or_callers_are_real(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """A production's firewalls know its own people alone (L8)."""
    settings, folder = policy_settings(tmp_path, environment)
    assert folder is None
    assert POLICY_KEYS not in settings
    assert list(tmp_path.rglob("*.key")) == []
