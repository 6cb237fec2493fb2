"""What fails on a card is a sentence, and whoever reads it knows whether to go on."""

import os
import subprocess
import sys

import pytest
import specdec
from support.devices import CUDA, needs_card, needs_emulator
from support.models import config_of

CONFIG = config_of("llama", num_hidden_layers=1)

# Prints what each step of a small life says, or "went well".
PROGRAM = """
import specdec
config = {config!r}
def attempt(name, what):
    try:
        what()
        print(name, "went well", sep=": ")
    except (RuntimeError, MemoryError) as error:
        print(name, error, sep=": ")
models = []
attempt("model", lambda: models.append(specdec.Model.random(config, device="cuda")))
for turn in ("first", "second"):
    if models:
        attempt(turn, lambda: specdec.Decoder(models[0]).generate([[1, 2, 3]], max_tokens=6))
cpu = specdec.Model.random(config)
attempt("cpu", lambda: specdec.Decoder(cpu).generate([[1, 2, 3]], max_tokens=6))
"""


def life(**settings: str) -> dict[str, str]:
    """What the program says, with settings of the emulator."""
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(config=CONFIG)],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=False,
        cwd=os.path.dirname(specdec.__file__),  # the first place that modules are looked for
    )
    assert run.returncode == 0, run.stderr
    lines = [line.partition(": ") for line in run.stdout.splitlines()]
    return {name: sentence for name, _, sentence in lines}


@needs_emulator
def test_no_device_is_a_sentence() -> None:
    said = life(SPECDEC_EMULATED_DEVICES="0")
    assert said.pop("cpu") == "went well"
    (sentence,) = said.values()
    assert sentence.startswith("there is no CUDA device: ")
    assert sentence.endswith("; use device 'cpu'")


@pytest.mark.skipif(bool(CUDA["devices"]), reason="there is a CUDA device")
def test_a_machine_without_a_card_says_so() -> None:
    with pytest.raises(
        RuntimeError, match=r"there is no CUDA device|no CUDA part|cannot be loaded"
    ):
        specdec.Model.random(CONFIG, device="cuda")


@needs_card
@pytest.mark.parametrize("device", ["cuda:99", "cuda:-1", "cuda:", "cudas", "gpu"])
def test_a_device_that_is_not_there_is_refused(device: str) -> None:
    with pytest.raises((RuntimeError, ValueError), match="device"):
        specdec.Model.random(CONFIG, device=device)


@needs_card
def test_the_first_card_has_a_number() -> None:
    assert specdec.Model.random(CONFIG, device="cuda:0").device == "cuda:0"


@needs_emulator
def test_a_machine_without_cublas_reads_long_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECDEC_EMULATED_CUBLAS", "0")
    model = specdec.Model.random(CONFIG | {"max_position_embeddings": 2048}, device="cuda")
    (made,) = specdec.Decoder(model).generate([[i % 100 for i in range(1030)]], max_tokens=2)
    assert len(made.tokens) == 2


@needs_card
def test_a_model_that_no_card_holds_is_a_sentence() -> None:
    large = {"hidden_size": 16_384, "intermediate_size": 53_248, "num_hidden_layers": 512}
    needed = r"cuda:0: \d+\.\d MiB are needed, and \d+\.\d MiB of the card's \d+\.\d are free"
    with pytest.raises(MemoryError, match=needed):
        specdec.Model.random(CONFIG | large, device="cuda")
    model = specdec.Model.random(CONFIG, device="cuda")
    assert len(specdec.Decoder(model).generate([[1, 2]], max_tokens=3)[0].tokens) == 3


@needs_emulator
def test_memory_that_runs_out_leaves_the_card_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    model = specdec.Model.random(CONFIG, device="cuda")
    before = model.cache(32).forward([1, 2, 3]).logits.tobytes()
    monkeypatch.setenv("SPECDEC_EMULATED_BYTES", str(1 << 20))
    needed = r"cuda:0: \d+\.\d MiB are needed, and \d+\.\d MiB of the card's 1\.0 are free"
    with pytest.raises(MemoryError, match=needed):
        model.cache(100_000)
    with pytest.raises(MemoryError, match=needed):
        specdec.Model.random(CONFIG | {"vocab_size": 50_000}, device="cuda")
    monkeypatch.delenv("SPECDEC_EMULATED_BYTES")
    assert model.cache(32).forward([1, 2, 3]).logits.tobytes() == before


@needs_emulator
def test_a_decoder_that_does_not_fit_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whichever of its allocations fails."""
    model = specdec.Model.random(CONFIG, device="cuda")
    plain = specdec.Decoder(model).generate([[1, 2, 3]], max_tokens=4)[0].tokens.tolist()
    failures = 0
    for kibibytes in (100, 200, 400, 600, 1000, 2000, 4000, 8000):
        monkeypatch.setenv("SPECDEC_EMULATED_BYTES", str(kibibytes << 10))
        try:
            specdec.Decoder(model, specdec.DraftModel(model, 3), max_length=300)
        except MemoryError:
            failures += 1
        monkeypatch.delenv("SPECDEC_EMULATED_BYTES")
    assert failures > 2
    assert specdec.Decoder(model).generate([[1, 2, 3]], max_tokens=4)[0].tokens.tolist() == plain


@needs_emulator
@pytest.mark.parametrize("launch", [1, 3, 8, 20, 25, 30, 40, 60])
def test_a_kernel_that_fails_is_a_sentence(launch: int) -> None:
    said = life(SPECDEC_EMULATED_FAIL_LAUNCH=str(launch))
    assert said.pop("cpu") == "went well"
    failed = [sentence for sentence in said.values() if sentence != "went well"]
    assert failed
    for sentence in failed:
        assert sentence.startswith("cuda:0: ")
        assert sentence.endswith("this process cannot use the card any more: start a new one")
    if "second" in said:
        assert said["second"] != "went well", "what comes after a failure fails, too"
