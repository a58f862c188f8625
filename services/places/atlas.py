"""Which town a place lies in: outlines of towns, and of the land around the region, searched through a tree.

Geometry is flat: degrees are scaled to metres at the region's middle. That map is affine, so whether a point is inside
an outline stays exact; distances are within about 2 % over a region of Massachusetts' size, and serve only to rank
towns and to tell "just off the shore" from "far away".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from math import cos, isfinite, radians

import shapely
from shapely.geometry import MultiPolygon, Point
from shapely.geometry import Polygon as Ring
from shapely.geometry.base import BaseGeometry

from services.domain.place import Circle, Polygon, centre

Outline = Ring | MultiPolygon

METRES_PER_DEGREE = 111_195.0
OVERLAP_RADIUS_M_MAX = 100_000.0
OVERLAP_TOWNS_MAX = 16
"""Overlap is measured with the nearest so many towns: a bound on the time that a hostile outline can take."""
CIRCLES_MAX = 4_096
"""Circles whose town is remembered: many calls come from the place of the same mast, and one call is located by all who
ask about it."""
OVERLAP_CORNERS_MAX = 100
"""A finer outline is replaced by its hull when overlap is measured, for the same reason."""


class FoundBy(StrEnum):
    """How a usable place led to a town, or why it did not."""

    TOWN = "town"
    OVERLAP = "overlap"
    NEAREST_TOWN = "nearest_town"
    SEA = "sea"
    OUTSIDE_REGION = "outside_region"


@dataclass(frozen=True, slots=True)
class Found:
    """The town of a place, None when there is none near, and how it was found."""

    town: str | None
    by: FoundBy


class Atlas:
    """The towns of one region. Where several claim a point, the first in the order of their names has it."""

    def __init__(
        self,
        outlines: Mapping[str, Outline],
        neighbours: Sequence[Outline] = (),
        nearest_town_within_m: float = 5_000.0,
        sea_within_m: float = 100_000.0,
    ) -> None:
        """Outlines are valid and in degrees, x = lon and y = lat; `neighbours` is land outside the region.

        A place outside every town belongs to the nearest within `nearest_town_within_m`; beyond that it is at sea when
        it is on no neighbour's land and within `sea_within_m` of a town.
        """
        assert outlines, "an atlas needs at least one town"
        self.towns = tuple(sorted(outlines))
        west, south, east, north = shapely.total_bounds(list(outlines.values()))
        self._lat_0, self._lon_0 = float(south + north) / 2.0, float(west + east) / 2.0
        self._x_metres = METRES_PER_DEGREE * cos(radians(self._lat_0))
        self._tree = shapely.STRtree([self._flatten(outlines[name]) for name in self.towns])
        self._neighbours = [self._flatten(land) for land in neighbours]
        self._nearest_town_within_m = nearest_town_within_m
        self._sea_within_m = sea_within_m
        self._find_circle = lru_cache(CIRCLES_MAX)(self._find)

    def _flatten(self, outline: Outline) -> Outline:
        origin, scale = (self._lon_0, self._lat_0), (self._x_metres, METRES_PER_DEGREE)
        return shapely.transform(outline, lambda corners: (corners - origin) * scale)

    def _flat(self, lat: float, lon: float) -> tuple[float, float]:
        return (lon - self._lon_0) * self._x_metres, (lat - self._lat_0) * METRES_PER_DEGREE

    def find(self, place: Circle | Polygon) -> Found:
        """The town of a usable place (one whose `flaw` is None): by its centre, else overlap, else nearness."""
        return self._find_circle(place) if isinstance(place, Circle) else self._find(place)

    def _find(self, place: Circle | Polygon) -> Found:
        middle = Point(self._flat(*centre(place)))
        inside = self._tree.query(middle, predicate="intersects")
        if len(inside):
            return Found(self.towns[min(inside.tolist())], FoundBy.TOWN)
        if (town := self._most_overlapped(place, middle)) is not None:
            return Found(town, FoundBy.OVERLAP)
        nearest, metres = self._tree.query_nearest(middle, return_distance=True)
        if metres[0] <= self._nearest_town_within_m:
            return Found(self.towns[nearest.min()], FoundBy.NEAREST_TOWN)
        if metres[0] > self._sea_within_m or any(land.intersects(middle) for land in self._neighbours):
            return Found(None, FoundBy.OUTSIDE_REGION)
        return Found(None, FoundBy.SEA)

    def _most_overlapped(self, place: Circle | Polygon, middle: Point) -> str | None:
        """The town that shares most ground with the place; None when it touches none, or when geometry cannot tell."""
        area = self._area(place, middle)
        if area is None:
            return None
        try:
            touched = sorted(int(index) for index in self._tree.query(area, predicate="intersects"))
            if len(touched) > OVERLAP_TOWNS_MAX:
                metres = shapely.distance(self._tree.geometries.take(touched), middle)
                nearest = metres.argsort(kind="stable")[:OVERLAP_TOWNS_MAX]
                touched = sorted(touched[int(index)] for index in nearest)
            if not touched:
                return None
            shared = shapely.area(shapely.intersection(self._tree.geometries.take(touched), area))
        except shapely.errors.GEOSException:  # nearness decides then
            return None
        return self.towns[touched[int(shared.argmax())]]

    def _area(self, place: Circle | Polygon, middle: Point) -> BaseGeometry | None:
        """The place as ground; None for a circle without a usable radius."""
        if isinstance(place, Circle):
            if not isfinite(place.radius_m) or place.radius_m <= 0.0:
                return None
            return middle.buffer(min(place.radius_m, OVERLAP_RADIUS_M_MAX), quad_segs=8)
        ring = Ring([self._flat(lat, lon) for lat, lon in place.points])
        if len(place.points) > OVERLAP_CORNERS_MAX or not ring.is_valid:
            return ring.convex_hull  # sound even where the outline crosses itself
        return ring
