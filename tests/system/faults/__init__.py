"""Things are killed, stopped and slowed under load, on one installation of real processes that stands for all of it."""
