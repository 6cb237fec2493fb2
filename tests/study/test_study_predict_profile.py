"""Profiles: the files in configs/hardware, interpolation, and one sentence for each mistake."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from specdec_study.config.files import write_yaml
from specdec_study.errors import UserError
from specdec_study.predict.costs import KNOWN, costs_of, find_profile, parameter_count
from specdec_study.predict.profile import (
    Curve,
    ModelCosts,
    Roofline,
    Tabled,
    read_profile,
    write_profile,
)

FILES = sorted(KNOWN.glob("*.yaml"))
POINTS = st.lists(
    st.tuples(st.integers(2, 500), st.floats(0, 1)),
    min_size=1,
    max_size=8,
    unique_by=lambda p: p[0],
)


def curve_of(points: list[tuple[int, float]], context: int | None = None) -> Curve:
    rows, steps = zip(*sorted([(1, 0.5), *points]), strict=True)
    return Curve(context=context, rows=rows, seconds=tuple(np.cumsum(steps).tolist()))


def model_of(*curves: Curve) -> ModelCosts:
    return ModelCosts(name="m", role="target", curves=curves)


def test_the_named_machines_are_there() -> None:
    assert {"a6000", "a100", "h200", "l4"} <= {path.stem for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_files_are_valid_and_name_their_source(path: Path) -> None:
    profile = read_profile(path)
    assert profile.name == path.stem
    assert len(profile.source) > 20
    assert find_profile(path.stem) == path


def test_a6000_has_the_published_constants() -> None:
    profile = read_profile(find_profile("a6000"))
    assert isinstance(profile, Tabled)
    assert profile.round_seconds == 0
    found = {m.name: (m.role, m.seconds([1, 30, 60]).tolist()) for m in profile.models}
    assert found == {
        "Qwen2.5-7B": ("target", [0.0135] * 3),
        "Qwen2.5-14B": ("target", [0.0247] * 3),
        "Qwen2.5-32B": ("target", [0.0526] * 3),
        "Llama-2-7B": ("target", [0.01373] * 3),
        "Llama-2-13B": ("target", [0.02583] * 3),
        "Qwen2.5-1.5B": ("draft", [0.0061] * 3),
        "Fast_dLLM_v2_1.5B": ("draft", [0.0061] * 3),
        "DiffuLLaMA-7B": ("draft", [0.01373] * 3),
    }
    assert all(m.prefill_seconds is None for m in profile.models)


@pytest.mark.parametrize(
    ("name", "bandwidth", "rate"),
    [("l4", 300e9, 121e12), ("a100", 2039e9, 312e12), ("h200", 4.8e12, 989.5e12)],
)
def test_rooflines_are_what_the_datasheet_says(name: str, bandwidth: float, rate: float) -> None:
    profile = read_profile(find_profile(name))
    assert isinstance(profile, Roofline)
    rows = np.arange(1, 2000)
    seconds = profile.model(8e9, "target").seconds(rows)
    bound = np.maximum(16e9 / bandwidth, 16e9 * rows / rate)
    np.testing.assert_allclose(seconds, bound, rtol=1e-9)


@given(POINTS)
def test_interpolation_is_exact_at_points_property(points: list[tuple[int, float]]) -> None:
    curve = curve_of(points)
    assert model_of(curve).seconds(curve.rows).tolist() == list(curve.seconds)


@given(POINTS, st.floats(0, 3000))
def test_more_rows_never_cost_less_property(
    points: list[tuple[int, float]], context: float
) -> None:
    low, high = curve_of(points, 100), curve_of([(n, 2 * s) for n, s in points], 900)
    model = model_of(low, high)
    seconds = model.seconds(np.arange(1, model.most_rows + 1), context)
    assert (np.diff(seconds) >= -1e-12).all()
    assert (seconds >= model_of(low).seconds(np.arange(1, model.most_rows + 1)) - 1e-12).all()


def test_between_contexts_costs_are_linear_and_outside_they_stay() -> None:
    model = model_of(
        Curve(context=100, rows=(1, 3), seconds=(1.0, 2.0)),
        Curve(context=300, rows=(1, 3), seconds=(2.0, 6.0)),
    )
    found = [float(model.seconds(2, context)) for context in (0, 100, 150, 300, 900)]
    assert found == [1.5, 1.5, 2.125, 4.0, 4.0]


def test_rows_that_nobody_measured_are_refused() -> None:
    with pytest.raises(UserError, match=r"4 rows: the profile knows m up to 3; .*--rows"):
        model_of(Curve(rows=(1, 3), seconds=(1.0, 2.0))).seconds([2, 4])


CURVE = {"rows": [1, 2], "seconds": [0.1, 0.2]}
GOOD: dict[str, Any] = {
    "name": "x",
    "kind": "measured",
    "source": "me",
    "models": [{"name": "m", "role": "target", "curves": [CURVE]}],
}


def with_curve(**changes: Any) -> dict[str, Any]:
    return GOOD | {"models": [{"name": "m", "role": "target", "curves": [CURVE | changes]}]}


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({}, "'kind'"),
        (GOOD | {"kind": "guessed"}, "'kind'"),
        (GOOD | {"sauce": "me"}, "'sauce' is not a key"),
        ({k: v for k, v in GOOD.items() if k != "source"}, "'source': field required"),
        (GOOD | {"models": []}, "'models'"),
        (GOOD | {"round_seconds": -1.0}, "'round_seconds'"),
        (GOOD | {"round_seconds": "1"}, "'round_seconds'"),
        (GOOD | {"round_seconds": float("nan")}, "'round_seconds'"),
        (with_curve(rows=[2, 3]), "rows must begin with 1 and rise"),
        (with_curve(rows=[1, 1]), "rows must begin with 1 and rise"),
        (with_curve(seconds=[0.2, 0.1]), "more rows never cost less"),
        (with_curve(seconds=[0.1]), "differ in length"),
        (with_curve(seconds=[0.0, 0.1]), r"'models\.0\.curves\.0\.seconds\.0'"),
        (with_curve(spread=[0.1]), "differ in length"),
        (GOOD | {"models": [GOOD["models"][0] | {"curves": [CURVE, CURVE]}]}, "needs its context"),
        (
            GOOD
            | {
                "models": [
                    GOOD["models"][0] | {"curves": [CURVE | {"context": 9}, CURVE | {"context": 3}]}
                ]
            },
            "order of their contexts",
        ),
        ({"name": "x", "kind": "roofline", "source": "s", "bytes_per_second": 0.0}, "'bytes_per"),
    ],
)
def test_wrong_profiles_are_one_sentence(
    tmp_path: Path, given_: dict[str, Any], message: str
) -> None:
    path = tmp_path / "p.yaml"
    write_yaml(path, given_, "")
    with pytest.raises(UserError, match=message) as caught:
        read_profile(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    for file in FILES:
        profile = read_profile(file)
        write_profile(path, profile, "A copy.")
        assert read_profile(path) == profile
    with pytest.raises(UserError, match="No such file"):
        write_profile(tmp_path / "none" / "p.yaml", profile, "")


def test_models_are_found_by_role_and_name() -> None:
    a6000, l4 = read_profile(find_profile("a6000")), read_profile(find_profile("l4"))
    costs = costs_of(a6000, "Qwen2.5-32B", "Qwen2.5-1.5B")
    assert costs.draft is not None
    assert (costs.target.name, costs.draft.name) == ("Qwen2.5-32B", "Qwen2.5-1.5B")
    bound = costs_of(l4, "7.6B").target
    assert float(bound.seconds(1)) == pytest.approx(2 * 7.6e9 / 300e9)
    for profile, target, message in (
        (a6000, None, "use --as-target"),
        (a6000, "Qwen", "a6000 has Qwen2.5-7B"),
        (a6000, "Qwen2.5-1.5B", "a6000 has Qwen2.5-7B"),
        (l4, "Qwen2.5-7B", r"takes a size, as in 7\.6B"),
        (l4, None, "use --as-target"),
    ):
        with pytest.raises(UserError, match=message):
            costs_of(profile, target)


def test_sizes_are_read() -> None:
    sizes = [
        parameter_count(text) for text in ("7.6e9", "500M", "0.5B", "B", "-1B", "nan", "1e999")
    ]
    assert sizes == [7.6e9, 5e8, 5e8, None, None, None, None]
