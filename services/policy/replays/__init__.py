"""A candidate beside the live bundle over calls that came, and what speaks against it. Pure."""
