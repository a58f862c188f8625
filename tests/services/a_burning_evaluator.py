"""An evaluator as it is, save that one bundle holds its interpreter for longer than anybody lives."""

from __future__ import annotations

import json
import re

from services.firewall.evaluating import Evaluating
from services.host.children import serve

BURNS = f"{666:064x}"


class Burning(Evaluating):
    """See the module."""

    def answer(self, asked: bytes) -> bytes:
        if json.loads(asked).get("digest") == BURNS:
            re.fullmatch("(a+)+b", "a" * 60)
        return super().answer(asked)


if __name__ == "__main__":
    serve(Burning())
