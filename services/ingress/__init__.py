"""Ingress: carries one call from its offer to a person, or on to the callback list.

Decides nothing by itself: the machine of `services/domain/calls/call.py` does; ingress holds the caller's stream, which
is the only lease on the call (P3), and does what the machine says. Asks the firewall (screen), the router (where to), a
PSAP gateway (ring it) and failover (dial its lines), each with a deadline. Tells: the facts of its calls, on `calls`.

When it is gone: the originating side sees the stream break, or hears nothing for a second, and offers leg n+1 to
another ingress (P2). When a neighbour is gone: no verdict means unscreened, no route means our own atlas, no gateway
means the next one, then lines.
"""
