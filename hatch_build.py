"""Generates the Python modules of `protos/` so that they import as `throughline.v1`.

Runs as a hatchling hook (wheel and editable install alike) and by hand, `python hatch_build.py`, which `make` does
when a .proto is newer than what was generated. Generated code lives in build/generated and is never committed.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent
PROTOS = ROOT / "protos"
GENERATED = ROOT / "build" / "generated"


def generate() -> None:
    """Writes build/generated/throughline/v1/*_pb2.py(i); raises RuntimeError with protoc's exit code if it refuses."""
    from grpc_tools import protoc

    fresh = GENERATED.with_name("generated.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    mypy = Path(sys.executable).with_name("protoc-gen-mypy")  # the one beside this Python, whatever PATH says
    sources = sorted(str(path) for path in PROTOS.rglob("*.proto"))
    outputs = [f"--python_out={fresh}", f"--plugin=protoc-gen-mypy={mypy}", f"--mypy_out=quiet:{fresh}"]
    code = protoc.main(["protoc", f"-I{PROTOS}", *outputs, *sources])
    if code != 0:
        raise RuntimeError(f"protoc refused the files in {PROTOS} with exit code {code}; its own lines above say why")
    for package in ("throughline", "throughline/v1"):
        (fresh / package / "__init__.py").write_text('"""Generated from protos/; do not edit."""\n')
        (fresh / package / "py.typed").touch()
    shutil.rmtree(GENERATED, ignore_errors=True)
    fresh.rename(GENERATED)


try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ModuleNotFoundError:  # run by hand where hatchling is not installed
    BuildHookInterface = object  # type: ignore[assignment,misc]


class ProtoHook(BuildHookInterface):  # type: ignore[type-arg,misc]
    """The hook that pyproject.toml names."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Generates, and puts `throughline` into the wheel (an editable install finds it through dev-mode-dirs)."""
        generate()
        if version != "editable":
            build_data["force_include"][str(GENERATED / "throughline")] = "throughline"


if __name__ == "__main__":
    generate()
    print(f"generated {sum(1 for _ in GENERATED.rglob('*_pb2.py'))} modules", file=sys.stderr)
