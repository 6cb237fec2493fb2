"""specdec as it is on a processor with fewer instructions: another instance of the module."""

import importlib.util
import os
from types import ModuleType

import specdec

LEVELS: list[str] = specdec.info()["isa_available"]


def specdec_at(level: str, path: str = specdec.__file__) -> ModuleType:
    spec = importlib.util.spec_from_file_location("specdec", path)
    assert spec is not None
    assert spec.loader is not None
    before = os.environ.get("SPECDEC_ISA")
    os.environ["SPECDEC_ISA"] = level
    try:
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        del os.environ["SPECDEC_ISA"]
        if before is not None:
            os.environ["SPECDEC_ISA"] = before
    return module
