"""A bundle as a file: read as hostile input, put into the one form that people sign, and signed. Pure."""
