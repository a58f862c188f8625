"""From a place to PSAPs: right inside a town, sensible outside, and an answer for anything at all."""

import json
import math
import time
from random import Random

import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import Point, shape
from shapely.geometry.base import BaseGeometry

from services.domain.place import Circle, Place, PlaceFlaw, Polygon
from services.places.atlas import Atlas, FoundBy
from services.places.region import Located, Region

any_float = st.floats(allow_nan=True, allow_infinity=True)
near = st.tuples(st.floats(41.0, 43.0), st.floats(-74.0, -69.0))
any_place = st.one_of(
    st.none(),
    st.builds(Circle, any_float, any_float, any_float),
    st.builds(lambda at, radius_m: Circle(at[0], at[1], radius_m), near, any_float),
    st.builds(Polygon, st.lists(st.tuples(any_float, any_float), max_size=12).map(tuple)),
    st.builds(Polygon, st.lists(near, max_size=130).map(tuple)),
)
REASONS = {*map(str, FoundBy), *map(str, PlaceFlaw)}


@pytest.fixture(scope="session")
def outlines(sample_texts: dict[str, bytes]) -> dict[str, BaseGeometry]:
    """The towns as another reader sees them, in degrees."""
    features = json.loads(sample_texts["towns.geojson"])["features"]
    return {feature["properties"]["town"]: shape(feature["geometry"]) for feature in features}


@given(any_place)
@settings(max_examples=300, deadline=None)
def test_any_place_gets_candidates_and_a_known_reason(sample: Region, place: Place) -> None:
    """domain.md: parseable but odd signalling must be accepted; nothing raises, nobody is left without a PSAP."""
    located = sample.locate(place)
    assert located.candidates
    assert located.reason in REASONS
    assert set(located.candidates) <= set(sample.directory.psaps)
    assert len(set(located.candidates)) == len(located.candidates)
    assert (located.town is None) == (located.candidates == sample.default_psaps)


@given(data=st.data(), seed=st.integers(0, 2**32))
@settings(max_examples=300, deadline=None)
def test_every_point_inside_a_town_goes_to_the_psap_of_that_town(
    sample: Region, outlines: dict[str, BaseGeometry], data: st.DataObject, seed: int
) -> None:
    """domain.md: route on place. Whatever the radius, the centre decides."""
    town = data.draw(st.sampled_from(sorted(outlines)))
    radius_m = data.draw(any_float)
    random, outline = Random(seed), outlines[town]
    west, south, east, north = outline.bounds
    point = Point(random.uniform(west, east), random.uniform(south, north))
    if not outline.contains(point) or outline.boundary.distance(point) < 1e-7:
        point = outline.representative_point()
    located = sample.locate(Circle(point.y, point.x, radius_m))
    assert located == Located(sample.candidates_by_town[town], town, FoundBy.TOWN)


@pytest.mark.parametrize(
    ("place", "town", "reason"),
    [
        (None, None, "no_place"),
        (Circle(math.nan, -71.06, 50), None, "not_a_number"),
        (Circle(142.36, -71.06, 50), None, "outside_world"),
        (Polygon(((42.3, -71.0), (42.3, -71.1))), None, "too_few_points"),
        (Circle(42.3587, -71.0567, 50), "Boston", "town"),
        (Circle(42.30, -69.90, 50), None, "sea"),
        (Circle(42.07, -70.30, 50), "Provincetown", "nearest_town"),
        (Circle(42.30, -70.30, 30_000), "Provincetown", "overlap"),
        (Circle(42.725, -71.46, 50), "Dunstable", "nearest_town"),
        (Circle(43.20, -71.54, 50), None, "outside_region"),
        (Circle(30.33, -95.59, 50), None, "outside_region"),
        (Circle(0.0, 0.0, 50), None, "outside_region"),
        (Polygon(((42.35, -71.07), (42.35, -71.05), (42.37, -71.05), (42.37, -71.07))), "Boston", "town"),
    ],
)
def test_each_kind_of_place_has_its_reason(sample: Region, place: Place, town: str | None, reason: str) -> None:
    """No place, odd place, sea, outside, near the shore or the border: each is told apart."""
    located = sample.locate(place)
    assert (located.town, located.reason) == (town, reason)


def test_a_million_points_cost_nothing_and_go_to_the_default_psap(sample: Region) -> None:
    """Refused by count before geometry is touched."""
    polygon = Polygon(((42.0, -71.0),) * 1_000_000)
    started = time.thread_time()
    located = sample.locate(polygon)
    assert time.thread_time() - started < 0.1
    assert located == Located(sample.default_psaps, None, "too_many_points")


@pytest.mark.parametrize("inner", [2.0, 0.2, 0.0])
def test_an_outline_made_to_be_slow_is_answered_in_bounded_time(sample: Region, inner: float) -> None:
    """A thousand spikes over the whole region, with the centre at sea: 4 ms when measured alone."""
    spokes = [(2.0 if i % 2 else inner, 2 * math.pi * i / 1000) for i in range(1000)]
    polygon = Polygon(tuple((42.3 + r * math.sin(a), -70.2 + r * math.cos(a)) for r, a in spokes))
    started = time.thread_time()
    assert sample.locate(polygon).reason == "overlap"
    assert time.thread_time() - started < 0.5


def test_a_border_point_goes_to_one_town_whatever_the_order_of_the_outlines(texts: dict[str, str | bytes]) -> None:
    """Of two towns that claim a point the first by name has it, in every process."""
    weston, easton = shapely.box(-71.1, 42.0, -71.0, 42.1), shapely.box(-71.0, 42.0, -70.9, 42.1)
    for outlines in ({"Weston": weston, "Easton": easton}, {"Easton": easton, "Weston": weston}):
        assert Atlas(outlines).find(Circle(42.05, -71.0, 10)).town == "Easton"
        assert Atlas(outlines).find(Circle(42.05, -71.0001, 10)).town == "Weston"
    assert Region.from_texts(texts).locate(Circle(42.05, -71.0, 10)).candidates == ("2", "1")


@given(st.sampled_from([(41.995, -71.0), (41.999, -71.0), (42.10, -71.0)]), st.floats(0, 5_000))
def test_a_tie_between_towns_is_broken_by_name(at: tuple[float, float], radius_m: float) -> None:
    """South of the corner that both share, and on it: as near to one as to the other."""
    atlas = Atlas({"Weston": shapely.box(-71.1, 42.0, -71.0, 42.1), "Easton": shapely.box(-71.0, 42.0, -70.9, 42.1)})
    assert atlas.find(Circle(*at, 0.0)).town == "Easton"
    assert atlas.find(Circle(*at, radius_m)) == atlas.find(Circle(*at, radius_m))


def test_the_greatest_overlap_decides_when_the_centre_is_outside(texts: dict[str, str | bytes]) -> None:
    """The area reaches into both towns; most of what it shares is Weston's."""
    region = Region.from_texts(texts)
    low_and_wide = Polygon(((41.0, -71.08), (42.02, -71.08), (42.02, -70.99), (41.0, -70.99)))
    assert region.locate(low_and_wide) == Located(("1", "2", "9"), "Weston", FoundBy.OVERLAP)
    assert region.locate(Circle(41.95, -71.05, 8_000)).reason == FoundBy.OVERLAP
    assert region.locate(Circle(41.95, -71.05, math.nan)).reason == FoundBy.SEA


def test_the_land_of_neighbours_is_not_the_sea(texts: dict[str, str | bytes]) -> None:
    """Same distance from Weston, another reason."""
    region = Region.from_texts(texts)
    assert region.locate(Circle(42.15, -71.05, 10)).reason == FoundBy.OUTSIDE_REGION
    assert region.locate(Circle(41.95, -71.05, 10)).reason == FoundBy.SEA
    assert region.locate(Circle(40.00, -71.05, 10)).reason == FoundBy.OUTSIDE_REGION
    assert region.locate(Circle(42.11, -71.05, 10)) == Located(("1", "2", "9"), "Weston", FoundBy.NEAREST_TOWN)
