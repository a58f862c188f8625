"""Exit codes that several of our processes and commands end with; each one's own module says what they mean there."""

from __future__ import annotations

from typing import Final

EXIT_SETTINGS: Final = 64
EXIT_FILE: Final = 66
EXIT_UNAVAILABLE: Final = 69
