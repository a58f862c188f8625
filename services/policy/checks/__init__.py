"""What is wrong with a bundle, found before any call meets it. Pure."""
