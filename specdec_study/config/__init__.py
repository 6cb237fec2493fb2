"""What a run is told: files and flags, merged and checked into one `Config`."""

from specdec_study.config.load import load_config, resolve
from specdec_study.config.schema import Config, Data, Engine, Generation, Run

__all__ = ["Config", "Data", "Engine", "Generation", "Run", "load_config", "resolve"]
