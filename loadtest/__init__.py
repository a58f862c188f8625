"""What makes load and plays the world outside: callers, PSAPs and trunks. It imports nothing of the services decisions."""
