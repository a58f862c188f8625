"""From submitted to live and back: a chain of whole states, the canary, the bypass. Pure."""
