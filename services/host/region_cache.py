"""The last good published region as one file on a replica's own disk: what it serves when it starts without Kafka.

It is one JSON document, since a file is replaced whole or not at all, and a person can read which version it holds.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any, Final

from services.domain.publication import NUMBER_MAX, File, Version, Whole
from services.places.refusal import RegionRefused

_SHAPE: Final = "expected a region as this program keeps it; remove the file, the topic has it again"


def encode(whole: Whole) -> str:
    """The file's text. The contents are UTF-8: they are of a region that was read."""
    version = whole.version
    document = {
        "version": version.number,
        "digest": version.digest,
        "author": version.author,
        "note": version.note,
        "at_ms": version.at_ms,
        "reverts_to": version.reverts_to,
        "sha256": {file.name: file.sha256 for file in version.files},
        "files": {name: content.decode("utf-8") for name, content in whole.contents.items()},
    }
    return json.dumps(document, ensure_ascii=False, indent=1)


def decode(text: str) -> Whole:
    """The region of the file's text; raises RegionRefused where it is not as it was kept."""
    try:
        document: dict[str, Any] = json.loads(text)
        contents = {str(name): str(content).encode() for name, content in document["files"].items()}
        files = tuple(File(name, sha256(content).hexdigest(), len(content)) for name, content in contents.items())
        if {file.name: file.sha256 for file in files} != document["sha256"]:
            raise RegionRefused(f"{_SHAPE}: its contents are not those that were kept")
        version = Version(
            _number(document, "version"),
            files,
            str(document["author"]),
            str(document["note"]),
            _number(document, "at_ms"),
            _number(document, "reverts_to"),
            str(document["digest"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise RegionRefused(f"{_SHAPE}: {error!r}") from error
    return Whole(version, contents)


def _number(document: dict[str, Any], name: str) -> int:
    number = int(document[name])
    if not 0 <= number <= NUMBER_MAX:
        raise ValueError(f"{name}: expected 0 to {NUMBER_MAX}")
    return number
