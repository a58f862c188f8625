"""What the rules are given of a call: every attribute, of its type, for any offer."""

from __future__ import annotations

from datetime import UTC
from math import isfinite
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from services.domain.identity import cell_of, identity_of
from services.domain.offer import Attestation, Device, Offer, Verification
from services.domain.place import Circle, Polygon
from services.policy.attributes import ATTRIBUTES
from services.policy.verdicts.inputs import NOWHERE, Located, completed, identity_in, of
from services.policy.verdicts.windows import Keys, Windows

ANY_FLOAT = st.floats()
PLACES = st.one_of(
    st.none(),
    st.builds(Circle, ANY_FLOAT, ANY_FLOAT, ANY_FLOAT),
    st.builds(Circle, st.floats(-90, 90), st.floats(-180, 180), ANY_FLOAT),
    st.builds(Polygon, st.lists(st.tuples(ANY_FLOAT, ANY_FLOAT), max_size=6).map(tuple)),
)
CALLERS = st.one_of(st.text(max_size=20), st.sampled_from(["+15085550101", "+19115550100", "anonymous", ""]))
OFFERS = st.builds(
    Offer,
    st.text(max_size=5),
    st.integers(1, 9),
    CALLERS,
    st.text(max_size=20),
    PLACES,
    st.sampled_from(Attestation),
    st.text(max_size=9),
    verification=st.sampled_from(Verification),
    trunk=st.text(max_size=9),
    device=st.sampled_from(Device),
    display_name=st.text(max_size=9),
)
KINDS = {"string": str, "int": int, "double": float, "bool": bool}


@given(OFFERS, st.integers(0, 4_102_444_800_000))
def test_every_attribute_is_there_and_of_its_type_for_any_offer(offer: Offer, wall_ms: int) -> None:
    """A rule never meets a missing name, a number that is none, or a value of another type."""
    counts = Windows().seen(offer.call_id, Keys.of(offer), 0.0)
    inputs = of(offer, counts, NOWHERE, wall_ms, ZoneInfo("America/New_York"))
    assert list(inputs) and set(inputs) == set(ATTRIBUTES)
    for name, value in inputs.items():
        assert type(value) is KINDS[ATTRIBUTES[name].type]
        assert not isinstance(value, float) or isfinite(value)
    assert identity_in(inputs) == identity_of(offer)
    assert completed(inputs) == inputs


def test_time_is_the_regions_own() -> None:
    """18 June 2024, 13:15 in Massachusetts was a Tuesday."""
    offer = Offer("call-1", 1, "+15085550101", "urn:service:sos", Circle(42.36, -71.06, 100.0))
    counts = Windows().seen("call-1", Keys.of(offer), 0.0)
    inputs = of(offer, counts, Located("Boston", "P1", 0.5), 1_718_730_900_000, ZoneInfo("America/New_York"))
    assert (inputs["hour"], inputs["minute"], inputs["weekday"]) == (13, 15, 2)
    assert of(offer, counts, NOWHERE, 1_718_730_900_000, UTC)["hour"] == 17
    assert (inputs["area"], inputs["psap"], inputs["radius_m"], inputs["cell"]) == (
        "Boston",
        "P1",
        100.0,
        "42.36,-71.06",
    )


def test_a_cell_is_named_by_its_south_west_corner() -> None:
    """Both sides of a border, of the equator and of Greenwich."""
    named = {(42.3599, -71.0601): "42.34,-71.08", (42.36, -71.06): "42.36,-71.06", (0.01, -0.01): "0.00,-0.02"}
    for (lat, lon), cell in named.items():
        assert cell_of(Circle(lat, lon, 1.0)) == cell


def test_a_record_of_another_version_is_still_a_call() -> None:
    """What is missing, or of another type, has its unknown value."""
    unknown = {name: each.unknown for name, each in ATTRIBUTES.items()}
    assert completed({"number": 5, "hour": True, "lat": 1, "new": "x"}) == unknown
