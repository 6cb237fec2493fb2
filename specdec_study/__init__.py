"""Studies of speculative decoding with the extension module specdec.

    from specdec_study import run_experiment, load_config, measure
    run = run_experiment("data/mini-bench.jsonl", "configs/mini_ngram.yaml", "results/ngram")
    measure(run).aggregate.token_weighted.draft_acceptance_rate

What is named here is loaded when it is first used, so that parts of the package which need little
need little.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from specdec_study.api import run_experiment
    from specdec_study.benchmark import Benchmark, Sample, load_benchmark
    from specdec_study.config import Config, load_config
    from specdec_study.metrics import Metrics, measure
    from specdec_study.results import Results, read_results

HOMES = {
    "Benchmark": "benchmark",
    "Config": "config",
    "Metrics": "metrics",
    "Results": "results",
    "Sample": "benchmark",
    "load_benchmark": "benchmark",
    "load_config": "config",
    "measure": "metrics",
    "read_results": "results",
    "run_experiment": "api",
}
__all__ = [
    "Benchmark",
    "Config",
    "Metrics",
    "Results",
    "Sample",
    "load_benchmark",
    "load_config",
    "measure",
    "read_results",
    "run_experiment",
]


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
