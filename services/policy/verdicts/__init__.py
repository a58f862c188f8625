"""What a bundle says of one call, and what keeps that from being said: index, windows, guards, breakers. Pure."""
