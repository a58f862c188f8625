"""The caller's place: any input gets an answer, and the flaw says why it cannot be used."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.place import POLYGON_POINTS_MAX, Circle, Place, PlaceFlaw, Polygon, centre, flaw

any_float = st.floats(allow_nan=True, allow_infinity=True)
any_circle = st.builds(Circle, any_float, any_float, any_float)
any_polygon = st.builds(Polygon, st.lists(st.tuples(any_float, any_float), max_size=30).map(tuple))
lats, lons = st.floats(-90, 90), st.floats(-180, 180)
world_polygon = st.builds(Polygon, st.lists(st.tuples(lats, lons), min_size=3, max_size=30, unique=True).map(tuple))


@given(st.one_of(st.none(), any_circle, any_polygon))
def test_any_floats_get_a_verdict(place: Place) -> None:
    """A place that is not usable has a flaw, and a usable one has a centre in the world."""
    if flaw(place) is None:
        assert place is not None
        lat, lon = centre(place)
        assert -90 <= lat <= 90
        assert -180 <= lon <= 180


@given(world_polygon)
def test_the_centre_lies_in_the_extent_of_the_polygon(polygon: Polygon) -> None:
    """Also for outlines that cross themselves or have no area."""
    lat, lon = centre(polygon)
    assert min(p[0] for p in polygon.points) <= lat <= max(p[0] for p in polygon.points)
    assert min(p[1] for p in polygon.points) <= lon <= max(p[1] for p in polygon.points)


@given(st.floats(-80, 80), st.floats(-170, 170), st.floats(0.001, 5), st.booleans(), st.booleans())
def test_a_rectangle_is_stood_for_by_its_middle(lat: float, lon: float, half: float, closed: bool, back: bool) -> None:
    """Closed or not, in either direction."""
    points = [(lat - half, lon - half), (lat - half, lon + half), (lat + half, lon + half), (lat + half, lon - half)]
    if back:
        points.reverse()
    if closed:
        points.append(points[0])
    assert centre(Polygon(tuple(points))) == pytest.approx((lat, lon), abs=1e-6)


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (None, PlaceFlaw.NO_PLACE),
        (Circle(42.36, -71.06, 50.0), None),
        (Circle(90.0, 180.0, 0.0), None),
        (Circle(math.nan, -71.06, 50.0), PlaceFlaw.NOT_A_NUMBER),
        (Circle(42.36, math.nan, 50.0), PlaceFlaw.NOT_A_NUMBER),
        (Circle(math.inf, -71.06, 50.0), PlaceFlaw.OUTSIDE_WORLD),
        (Circle(42.36, 180.001, 50.0), PlaceFlaw.OUTSIDE_WORLD),
        (Circle(-91.0, 0.0, 50.0), PlaceFlaw.OUTSIDE_WORLD),
        (Polygon(()), PlaceFlaw.TOO_FEW_POINTS),
        (Polygon(((42.0, -71.0), (42.1, -71.0), (42.0, -71.0), (42.1, -71.0))), PlaceFlaw.TOO_FEW_POINTS),
        (Polygon(((42.0, -71.0), (42.1, -71.0), (42.1, math.nan))), PlaceFlaw.NOT_A_NUMBER),
        (Polygon(((42.0, -71.0), (42.1, -71.0), (42.1, 1e300))), PlaceFlaw.OUTSIDE_WORLD),
    ],
)
def test_each_flaw_has_its_name(place: Place, expected: PlaceFlaw | None) -> None:
    """domain.md: a missing or garbled location is told apart, so that the default route can carry the reason."""
    assert flaw(place) is expected


@pytest.mark.parametrize("radius_m", [math.nan, math.inf, -math.inf, -1.0, 1e300])
def test_an_odd_radius_leaves_the_centre_usable(radius_m: float) -> None:
    """Routing by a good centre beats a default route."""
    assert flaw(Circle(42.36, -71.06, radius_m)) is None


def test_a_million_points_are_refused_by_their_count_alone() -> None:
    """The count is looked at before any point: the points here are not even numbers."""
    assert flaw(Polygon(((math.nan, math.nan),) * 1_000_000)) is PlaceFlaw.TOO_MANY_POINTS
    assert flaw(Polygon(((math.nan, math.nan),) * POLYGON_POINTS_MAX)) is PlaceFlaw.NOT_A_NUMBER
