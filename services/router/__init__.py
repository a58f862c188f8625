"""Router: says which PSAP a call belongs to, and through which gateways it may be reached.

Decides by the caller's place (`services/places`) and by what the gateways say of the PSAPs (`services/domain/routing`).
Asks nobody. Hears the gateways' snapshots on `psap-status`, and the region that is published on `routing`. Tells: each
answer with its reason, on `routings`.

When it is gone: ingress asks its own last good copy of the atlas. When Kafka is away: it answers with what it last
heard, and what is old counts as unknown, which means "try".
"""
