"""The region: town outlines, answering points, their lines, and the way from a caller's place to a PSAP.

Pure: everything is built from texts that the host reads, and `Region.locate` answers for any place whatever. Entry
points: `region.Region`, `region.REGION_FILES`, `snapshot.first_good`.
"""
