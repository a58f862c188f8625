"""Reading a region's tables strictly: a region that is half right is refused whole, with the file and the line.

An operator who edits a table by hand, or a broken export, must be told where; and the last good region goes on serving.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

TEXT_BYTES_MAX = 64 * 1024 * 1024
FIELD_CHARS_MAX = 1_000


class RegionRefused(Exception):
    """A region's texts cannot be used. `reason` names the file and the line, what was expected and what came."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table: its fields by column, and where it stands."""

    file: str
    line: int
    fields: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        return self.fields[column]

    def refuse(self, reason: str) -> RegionRefused:
        return RegionRefused(f"{self.file} line {self.line}: {reason}")

    def filled(self, column: str) -> str:
        """The field, refused when empty or longer than any name is."""
        value = self.fields[column]
        if not value or len(value) > FIELD_CHARS_MAX:
            raise self.refuse(f"{column}: expected 1 to {FIELD_CHARS_MAX} characters, got {len(value)}")
        return value

    def integer(self, column: str, least: int, most: int) -> int:
        """The field as a whole number from `least` to `most`."""
        value = self.fields[column]
        if not (value.isascii() and value.isdigit() and len(value) < 10 and least <= int(value) <= most):
            raise self.refuse(f"{column}: expected a whole number from {least} to {most}, got {value[:20]!r}")
        return int(value)


def text_of(texts: Mapping[str, str | bytes], file: str) -> str:
    """The text of one file. Raises RegionRefused when it is missing, too long or not UTF-8."""
    if file not in texts:
        raise RegionRefused(f"{file}: missing; expected it beside the region's other files")
    content = texts[file]
    if len(content) > TEXT_BYTES_MAX:
        raise RegionRefused(f"{file}: expected at most {TEXT_BYTES_MAX} bytes, got {len(content)}")
    if isinstance(content, str):
        return content.removeprefix("\ufeff")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RegionRefused(f"{file}: expected UTF-8, byte {error.start} is not; save it as UTF-8") from error


def rows_of(texts: Mapping[str, str | bytes], file: str, columns: Sequence[str]) -> Iterator[Row]:
    """The rows of a CSV file that must have `columns` (more are ignored, blank lines too).

    Raises RegionRefused for a missing column or a line with another number of fields.
    """
    reader = csv.reader(io.StringIO(text_of(texts, file), newline=""), strict=True)
    try:
        header = next(reader, [])
        missing = [column for column in columns if column not in header]
        if missing or len(set(header)) != len(header):
            raise RegionRefused(f"{file} line 1: expected columns {','.join(columns)}, got {','.join(header)[:200]!r}")
        for values in reader:
            if not values:
                continue
            if len(values) != len(header):
                raise RegionRefused(f"{file} line {reader.line_num}: expected {len(header)} fields, got {len(values)}")
            yield Row(file, reader.line_num, dict(zip(header, map(str.strip, values), strict=True)))
    except csv.Error as error:
        raise RegionRefused(f"{file} line {reader.line_num}: not CSV: {error}") from error
