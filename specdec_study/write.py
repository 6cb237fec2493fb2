"""What is derived from a run's journal and can be made again at any time: metrics and tables."""

import io

import numpy as np

from specdec_study.metrics import Metrics, measure
from specdec_study.records import ROUND, Record
from specdec_study.replace import replace_file
from specdec_study.results import METRICS, ROUNDS, Results


def rounds_file(records: tuple[Record, ...]) -> bytes:
    """All rounds in one table, and for each the place of its request in the journal."""
    counts = [len(record.rounds) for record in records]
    file = io.BytesIO()
    np.savez_compressed(
        file,
        rounds=np.concatenate([np.empty(0, ROUND), *(record.rounds for record in records)]),
        request=np.repeat(np.arange(len(records)), counts),
        request_ids=np.array([record.request_id for record in records], str),
    )
    return file.getvalue()


def write_derived(results: Results) -> Metrics:
    metrics = measure(results)
    text = metrics.model_dump_json(indent=2) + "\n"
    replace_file(results.path / METRICS, text.encode("utf-8"))
    replace_file(results.path / ROUNDS, rounds_file(results.records))
    return metrics
