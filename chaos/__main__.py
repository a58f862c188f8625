"""`python -m chaos run|soak|paper`, as `throughline chaos`: see --help of each."""

from chaos.cli import app

if __name__ == "__main__":
    app(prog_name="python -m chaos")
