"""`python -m bench.floor ROLE JSON`: one process of the floor; the JSON holds what its role needs to know."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

from bench.child import run
from bench.floor import ingress, neighbours

ROLES: Final[Mapping[str, Callable[..., Coroutine[Any, Any, None]]]] = {
    "firewall": neighbours.firewall,
    "router": neighbours.router,
    "psap_gateway": neighbours.gateway,
    "ingress": ingress.main,
}

if __name__ == "__main__":
    run(ROLES[sys.argv[1]](**json.loads(sys.argv[2])))
