"""Each row's logits are, to the bit, those of plain decoding: whatever tree it stands in, whatever
else is in the batch, however many threads work. No difference is small enough to be allowed.

SPECDEC_FEWER_CASES divides their number, for builds that are slow."""

from typing import Any

import numpy as np
import pytest
import specdec
from support.cases import fewer
from support.invariance import MODELS, check_committed_paths, count_differences
from support.isa import LEVELS, specdec_at

TREES = 12


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("dtype", ["f32", "bf16"])
@pytest.mark.parametrize("level", LEVELS)
def test_rows_are_those_of_plain_decoding(level: str, dtype: str, name: str) -> None:
    module = specdec_at(level)
    model = module.Model.random(MODELS[name], seed=1, dtype=dtype)
    n_seeds = fewer(20 if level == "scalar" else 40)
    for seed in range(n_seeds):
        assert count_differences(module, model, np.random.default_rng(seed), TREES) == 0


@pytest.mark.parametrize("dtype", ["f32", "bf16"])
def test_a_committed_path_leaves_no_trace(dtype: Any) -> None:
    model = specdec.Model.random(MODELS["mistral"], seed=2, dtype=dtype)
    check_committed_paths(model, np.random.default_rng(7), 60)
