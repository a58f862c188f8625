"""One process's life: run, drain, health, logs, exposition, clock, network."""
