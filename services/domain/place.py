"""The caller's place as the originating network tells it: a circle, a polygon, or nothing.

Wireless networks give a point with an uncertainty radius, some give an area, some give nothing at all, and some give
rubbish. Whatever comes, the call goes on: this module says whether a place can be used for routing, and if it cannot,
why not, so that the default route can carry its reason. Nothing here raises for any float.
All coordinates are WGS84 degrees, in the order (lat, lon).
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

POLYGON_POINTS_MAX = 1_000
_POLYGON_POINTS_MIN = 3

LatLon: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Circle:
    """A point and the radius, in metres, within which the caller is believed to be."""

    lat: float
    lon: float
    radius_m: float


@dataclass(frozen=True, slots=True)
class Polygon:
    """An area: its corners as (lat, lon), closed or not, in either direction; not one that crosses 180 degrees."""

    points: tuple[LatLon, ...]


Place: TypeAlias = Circle | Polygon | None


class PlaceFlaw(StrEnum):
    """Why a place cannot be used for routing."""

    NO_PLACE = "no_place"
    NOT_A_NUMBER = "not_a_number"
    OUTSIDE_WORLD = "outside_world"
    TOO_FEW_POINTS = "too_few_points"
    TOO_MANY_POINTS = "too_many_points"


def flaw(place: Place) -> PlaceFlaw | None:
    """The first reason why `place` cannot be used for routing, or None when it can.

    A polygon is refused by its count before its points are looked at, so that 10**6 points cost nothing. An odd radius
    (negative, infinite, not a number) is no flaw: the centre is known, and routing by it beats a default route.
    """
    if place is None:
        return PlaceFlaw.NO_PLACE
    if isinstance(place, Circle):
        return _point_flaw(place.lat, place.lon)
    if len(place.points) > POLYGON_POINTS_MAX:
        return PlaceFlaw.TOO_MANY_POINTS
    for lat, lon in place.points:
        if (point_flaw := _point_flaw(lat, lon)) is not None:
            return point_flaw
    if len(set(place.points)) < _POLYGON_POINTS_MIN:
        return PlaceFlaw.TOO_FEW_POINTS
    return None


def _point_flaw(lat: float, lon: float) -> PlaceFlaw | None:
    if math.isnan(lat) or math.isnan(lon):
        return PlaceFlaw.NOT_A_NUMBER
    if not (-90.0 <= lat <= 90.0 and -180.0 <= lon <= 180.0):
        return PlaceFlaw.OUTSIDE_WORLD
    return None


def centre(place: Circle | Polygon) -> LatLon:
    """The (lat, lon) that stands for a usable place (its `flaw` is None): a circle's centre, a polygon's centroid.

    A polygon without a sound centroid (flat, or crossing itself so that its areas cancel) is stood for by the middle of
    its extent.
    """
    if isinstance(place, Circle):
        return place.lat, place.lon
    south, north = min(lat for lat, _ in place.points), max(lat for lat, _ in place.points)
    west, east = min(lon for _, lon in place.points), max(lon for _, lon in place.points)
    twice_area = moment_lat = moment_lon = 0.0
    origin_lat, origin_lon = place.points[0]  # measured from a corner: small numbers lose less
    previous_lat, previous_lon = (place.points[-1][0] - origin_lat, place.points[-1][1] - origin_lon)
    for corner_lat, corner_lon in place.points:
        lat, lon = corner_lat - origin_lat, corner_lon - origin_lon
        cross = previous_lon * lat - lon * previous_lat
        twice_area += cross
        moment_lat += (previous_lat + lat) * cross
        moment_lon += (previous_lon + lon) * cross
        previous_lat, previous_lon = lat, lon
    if twice_area != 0.0:
        lat = origin_lat + moment_lat / (3.0 * twice_area)
        lon = origin_lon + moment_lon / (3.0 * twice_area)
        if south <= lat <= north and west <= lon <= east:
            return lat, lon
    return (south + north) / 2.0, (west + east) / 2.0
