"""Reads a service's region through its files port, with the installation's credentials.

A folder that is broken stops a service at its start, with the file and line.
"""

from __future__ import annotations

from typing import Final

from services.host.files import Files
from services.host.settings import ServiceSettings
from services.places.directory import CREDENTIALS_FILE, Directory, read_directory
from services.places.region import REGION_FILES, Region
from services.places.snapshot import Source, first_good

DIRECTORY_FILES: Final = ("psaps.csv", "alternates.csv", "lines.csv")


async def load_region(files: Files, settings: ServiceSettings) -> Region:
    """The region in `settings.region_dir`; raises FileTrouble or RegionRefused, each with what to mend."""
    texts = {name: await files.read_text(settings.region_dir / name) for name in REGION_FILES}
    if settings.credentials_file is not None:
        texts[CREDENTIALS_FILE] = await files.read_text(settings.credentials_file)
    return first_good([Source(str(settings.region_dir), texts)]).region


async def load_directory(files: Files, settings: ServiceSettings) -> Directory:
    """The same region's PSAPs, lines and credentials without its atlas; raises FileTrouble or RegionRefused."""
    texts = {name: await files.read_text(settings.region_dir / name) for name in DIRECTORY_FILES}
    if settings.credentials_file is not None:
        texts[CREDENTIALS_FILE] = await files.read_text(settings.credentials_file)
    return read_directory(texts)
