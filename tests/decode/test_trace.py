"""The trace says what happened, and everything else follows from it."""

from typing import Any

import numpy as np
import pytest
import specdec
from support.pairs import TARGET, drafters_of, load_pair, prompts_of

NAMES = list(drafters_of(specdec.Model.random(TARGET)))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[specdec.Model, specdec.Model]:
    return load_pair(tmp_path_factory.mktemp("pair"))


def generations(pair: Any, name: str, **options: Any) -> tuple[list[list[int]], list[Any]]:
    prompts = prompts_of(6, 61)
    decoder = specdec.Decoder(
        pair[0], drafters_of(pair[1])[name], max_batch=3, trace_nodes=True, **options
    )
    return prompts, decoder.generate(prompts, max_tokens=25)


@pytest.mark.parametrize("temperature", [0.0, 0.9])
@pytest.mark.parametrize("name", NAMES)
def test_rounds_add_up_to_the_text(name: str, temperature: float, pair: Any) -> None:
    prompts, made = generations(pair, name, sampling=specdec.Sampling(temperature, seed=3))
    for prompt, g in zip(prompts, made, strict=True):
        r = g.rounds
        assert r["committed"].sum() == len(g.tokens) == 25
        assert (r["round"] == np.arange(len(r))).all()
        assert (np.diff(r["position"]) == r["committed"][:-1]).all()
        assert r["position"][0] == len(prompt) - 1
        assert (r["accepted"] <= r["depth"]).all()
        assert (r["depth"] <= r["drafted"]).all()
        assert (r["committed"][:-1] == r["accepted"][:-1] + 1).all()
        ends = r["position"] - len(prompt) + r["committed"]
        assert (g.tokens[ends[:-1]] == r["bonus"][:-1]).all()
        assert (r["batch"] <= 3).all()
        assert (r["rows"] > r["drafted"]).all()
        for field in ("draft_ns", "forward_ns", "verify_ns", "commit_ns"):
            assert (r[field] >= 0).all()
        assert (r["forward_ns"] > 0).all()


@pytest.mark.parametrize("method", ["auto", "block", "coupled", "typical"])
@pytest.mark.parametrize("name", NAMES)
def test_nodes_tell_every_fate(name: str, method: str, pair: Any) -> None:
    sampling = specdec.Sampling(0.9, top_p=0.9, seed=4)
    prompts, made = generations(pair, name, sampling=sampling, verifier=method)
    known = 0
    for prompt, g in zip(prompts, made, strict=True):
        context = [*prompt, *g.tokens.tolist()]
        assert len(g.nodes) == (g.rounds["drafted"] + 1).sum()
        for r in g.rounds:
            nodes = g.nodes[r["first_node"] : r["first_node"] + r["drafted"] + 1]
            assert (nodes["round"] == r["round"]).all()
            assert nodes["outcome"][0] == specdec.ROOT
            assert nodes["token"][0] == context[r["position"]]
            kept = nodes[nodes["outcome"] == specdec.ACCEPTED]
            assert len(kept) == r["accepted"]
            text = context[r["position"] + 1 : r["position"] + 1 + r["committed"]]
            assert kept["token"].tolist()[: len(text)] == text[: len(kept)]
            seen = nodes["outcome"] != specdec.UNREACHED
            seen[0] = False
            assert not np.isnan(nodes["p"][seen]).any()
            assert ((nodes["p"][seen] >= 0) & (nodes["p"][seen] <= 1)).all()
            if name in ("chain", "static tree"):
                assert (nodes["q"][1:] > 0).all()
            known += int(seen.sum())
    assert known > 20


def test_p_is_the_targets_probability(pair: Any) -> None:
    sampling = specdec.Sampling(0.7, top_k=30, seed=1)
    decoder = specdec.Decoder(
        pair[0], specdec.DraftModel(pair[1], 3), sampling=sampling, trace_nodes=True
    )
    (g,) = decoder.generate([[1, 2, 3]], max_tokens=20)
    assert g.nodes is not None
    context = [1, 2, 3, *g.tokens.tolist()]
    for r in g.rounds[g.rounds["drafted"] > 0]:
        nodes = g.nodes[r["first_node"] : r["first_node"] + r["drafted"] + 1]
        tokens = context[: r["position"]] + nodes["token"].tolist()
        for model, field in ((pair[0], "p"), (pair[1], "q")):
            rows = model.cache(64).forward(tokens).logits[r["position"] :]
            law = specdec.probs(np.ascontiguousarray(rows), sampling)
            expected = law[np.arange(len(nodes) - 1), nodes["token"][1:]]
            found = nodes[field][1:]
            looked_at = ~np.isnan(found)
            assert looked_at.any()
            assert found[looked_at].tolist() == expected[looked_at].tolist()


def test_nodes_are_kept_on_request_only(pair: Any) -> None:
    (made,) = specdec.Decoder(pair[0]).generate([[1]], max_tokens=3)
    assert made.nodes is None


def test_p_being_traced_changes_no_text(pair: Any) -> None:
    options: Any = {"sampling": specdec.Sampling(0.9, seed=4), "verifier": "rejection"}
    texts = [
        [g.tokens.tolist() for g in specdec.Decoder(
            pair[0], specdec.DraftModel(pair[1], 4), trace_nodes=traced, **options
        ).generate(prompts_of(8, 61), max_tokens=40)]
        for traced in (False, True)
    ]  # fmt: skip
    assert texts[0] == texts[1]
