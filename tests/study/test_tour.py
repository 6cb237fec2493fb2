import subprocess
import sys

import pytest
import specdec

from specdec_study import tour


def run_tour(*arguments: str) -> str:
    command = [sys.executable, "-m", "specdec_study.tour", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_the_tour_shows_every_method_and_this_build() -> None:
    shown = run_tour()
    for method in specdec.LOSSLESS:
        assert f"{method}: keeps" in shown
    assert specdec.__version__ in shown


def test_the_seed_decides_the_text() -> None:
    assert run_tour("--seed", "5") == run_tour("--seed", "5")
    assert run_tour("--seed", "5") != run_tour("--seed", "6")


@pytest.mark.parametrize("temperature", [0.0, 0.7, 2.0])
def test_coupled_text_is_plain_sampling(temperature: float) -> None:
    target = tour.target_logits()
    for seed in range(20):
        sampling = specdec.Sampling(temperature, seed=seed)
        text, looks = tour.sample_speculatively(target, sampling, 60)
        assert text == tour.sample_plainly(target, sampling, 60)
        assert looks < 60
