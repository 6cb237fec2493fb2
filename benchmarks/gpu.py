"""The CUDA engine beside the limits of its card: python benchmarks/gpu.py [--json FILE]

Measures, in one run: how fast the card copies and multiplies (benchmarks/probes.cu, compiled here);
decoding, forwards of many rows and prompts of a Llama-3-8B shape in bf16, with random weights made
on the card; what a round costs beside the card's own work; verification of logits that lie on the
card; and transformers on the same card (benchmarks/beside_transformers.py). Repetitions take turns;
medians. The table is measured twice, and `again` is the second time over the first. --smoke runs
all of it on tiny shapes, also on an emulated card, and judges nothing.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import specdec
from card import Card, Emulated, find_card
from engine import LLAMA_1B, filled, forward, in_turns
from gpu_table import HEAD, Row, does_hold, line, with_again

LLAMA_8B = {
    "model_type": "llama", "vocab_size": 128_256, "hidden_size": 4096, "intermediate_size": 14_336,
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128,
    "rope_theta": 500_000.0, "max_position_embeddings": 8192, "tie_word_embeddings": False,
}  # fmt: skip
TINY = LLAMA_8B | {
    "vocab_size": 200, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 1,
    "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32,
}  # fmt: skip
ROWS = [1, 2, 4, 8, 16, 32, 64]
ROW_LIMITS = {16: 1.08, 64: 1.25}
VOCAB = 151_936
K = 5
PEER_SECONDS = 150  # transformers compiles for long


class Scale(NamedTuple):
    """How large everything is."""

    target: dict[str, Any]
    draft: dict[str, Any]
    middle: dict[str, Any]  # a few layers: its step takes much longer than starting it
    prompt: int
    tokens: int
    prefill: int
    vocab: int
    repeats: int


FULL = Scale(
    LLAMA_8B, LLAMA_1B, LLAMA_8B | {"num_hidden_layers": 2, "vocab_size": 32_000},
    prompt=128, tokens=128, prefill=2048, vocab=VOCAB, repeats=5,
)  # fmt: skip
SMOKE = Scale(TINY, TINY, TINY, prompt=20, tokens=6, prefill=1024, vocab=1000, repeats=1)


class Bench:
    """The card, what it can do, and what is measured on it."""

    def __init__(self, card: Card | Emulated, scale: Scale, seconds: float) -> None:
        self.card, self.scale = card, scale
        self.judges = card.is_real and scale is FULL
        self.end = time.monotonic() + seconds
        self.models: dict[str, specdec.Model] = {}
        self.copies, self.reads = card.copies(), card.reads()
        self.multiplies = card.multiplies()

    @property
    def left(self) -> float:
        return self.end - time.monotonic()

    def model(self, name: str) -> specdec.Model:
        if name not in self.models:
            config = getattr(self.scale, name)
            self.models[name] = specdec.Model.random(config, device="cuda")
        return self.models[name]

    def row(
        self, what: str, measured: str, floor: str, ratio: float, limit: str, note: str = ""
    ) -> Row:
        holds = does_hold(ratio, limit) if limit and self.judges else None
        return Row(what, measured, floor, ratio, limit, holds, note)


def table_bytes(model: specdec.Model) -> int:
    """The embedding's, of which a step reads a few rows, where the head is another matrix."""
    tied: bool = model.config["tie_word_embeddings"]
    return 0 if tied else 2 * model.vocab_size * model.hidden_size


def prompt_of(bench: Bench, length: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, bench.scale.target["vocab_size"], length)


def per_token(decoder: specdec.Decoder, prompt: Any, tokens: int) -> float:
    """Seconds per token after the first."""
    (made,) = decoder.generate([prompt], max_tokens=tokens, ignore_eos=True)
    assert len(made.tokens) == tokens
    return made.seconds_per_token


# --- decoding, many rows, prompts ---


def decoding(bench: Bench) -> Iterator[Row]:
    model, s = bench.model("target"), bench.scale
    decoder = specdec.Decoder(model, max_length=s.prompt + s.tokens + 8)
    decode = partial(per_token, decoder, prompt_of(bench, s.prompt), s.tokens)
    seconds = in_turns({"decode": decode}, s.repeats)["decode"]
    c = model.config
    row_bytes = 2 * 2 * c["num_hidden_layers"] * c["num_key_value_heads"] * c["head_dim"]
    n_bytes = model.nbytes - table_bytes(model) + row_bytes * (s.prompt + s.tokens // 2)
    rate = n_bytes / seconds
    yield bench.row(
        "8B, one token: bytes of weights and cache over what copying moves",
        f"{1 / seconds:.1f} tokens/s", f"{bench.copies / 1e9:.0f} GB/s", rate / bench.copies,
        ">= 0.85", f"{rate / 1e9:.0f} GB/s; merely reading gives {bench.reads / 1e9:.0f} GB/s",
    )  # fmt: skip


def many_rows(bench: Bench) -> Iterator[Row]:
    cache = filled(bench.model("target"), 64)
    threads: int = specdec.info()["threads"]
    measures: dict[Any, Callable[[], float]] = {
        n: partial(forward, cache, n, threads) for n in ROWS
    }
    found = in_turns(measures, 4 * bench.scale.repeats)
    for n in ROWS[1:]:
        limit = f"<= {ROW_LIMITS[n]}" if n in ROW_LIMITS else ""
        yield bench.row(
            f"8B, forward of {n} rows over 1", f"{found[n] * 1e3:.3f} ms",
            f"{found[1] * 1e3:.3f} ms", found[n] / found[1], limit,
        )  # fmt: skip


def prefill(bench: Bench) -> Iterator[Row]:
    """A decoder reads a prompt's whole steps with cuBLAS; the last token belongs to a round."""
    model, n = bench.model("target"), bench.scale.prefill
    what = f"8B, prefill of {n:,} tokens over a large cuBLAS product"
    if bench.multiplies is None:
        yield Row(what, "-", note="skipped: there is no cuBLAS to compare with")
        return
    decoder = specdec.Decoder(model, max_length=n + 16)
    prompt = prompt_of(bench, n + 1)

    def read() -> float:
        return decoder.generate([prompt], max_tokens=1)[0].prefill_seconds

    seconds = in_turns({"read": read}, bench.scale.repeats)["read"]
    weights = model.nbytes / 2 - 2 * model.vocab_size * model.hidden_size
    rate = 2 * weights * n / seconds
    yield bench.row(
        what, f"{seconds * 1e3:.1f} ms", f"{bench.multiplies / 1e12:.0f} TFLOP/s",
        rate / bench.multiplies, ">= 0.6",
        f"{n / seconds:.0f} tokens/s, {rate / 1e12:.0f} TFLOP/s in the layers' matrices",
    )  # fmt: skip


# --- the host ---


def drafting_seconds(target: specdec.Model, model: specdec.Model, length: int, tokens: int) -> Any:
    """Seconds that a chain of `length` takes, whose steps are started together."""
    decoder = specdec.Decoder(
        target, specdec.DraftModel(model, length), max_length=tokens * (length + 2) + 64
    )

    def draft() -> float:
        (made,) = decoder.generate([[1, 2, 3]], max_tokens=tokens * (length + 1), ignore_eos=True)
        whole = made.rounds[made.rounds["drafted"] == length]
        return float(np.median(whole["draft_ns"])) * 1e-9

    return draft


def host(bench: Bench) -> Iterator[Row]:
    """Steps of a chain are started together, so that the card goes from one to the next while the
    host prepares others: what one more step adds is the card's own time. A round of plain decoding
    is such a step and all that the host does about it, one wait included."""
    model, s = bench.model("middle"), bench.scale
    tiny = specdec.Model.random(TINY, device="cuda")
    n_tokens, short, long = 32 * s.repeats, 4, 12
    plain, least = (specdec.Decoder(m, max_length=n_tokens + 8) for m in (model, tiny))
    found = in_turns({
        "round": partial(per_token, plain, [1, 2, 3], n_tokens),
        "least": partial(per_token, least, [1, 2, 3], n_tokens),
        "short": drafting_seconds(model, model, short, 8),
        "long": drafting_seconds(model, model, long, 8),
    }, 2 * s.repeats)  # fmt: skip
    step = (found["long"] - found["short"]) / (long - short)
    spent = (found["round"] - step) * 1e6
    what = "host's part of a round: a round less its step within a chain"
    note = (
        f"round {found['round'] * 1e6:.1f} us, step {step * 1e6:.1f} us, 2 layers of the 8B shape"
    )
    if spent > 0:
        yield bench.row(what, f"{spent:.1f} us", "25 us", spent / 25, "<= 1.0", note)
    else:
        yield Row(what, f"{spent:.1f} us", limit="<= 1.0", note=f"tells nothing: {note}")
    yield Row(
        "a whole round of a model of one layer, width 64", f"{found['least'] * 1e6:.1f} us",
        note="bounds the host's part from above: the card's is in it",
    )  # fmt: skip


# --- verification ---


def rows_to_verify(vocab: int, batch: int) -> tuple[Any, ...]:
    """Chains of K drawn from drafts that are the target's rows, noised: most are accepted."""
    import torch  # noqa: PLC0415

    torch.manual_seed(0)
    logits = 2 * torch.randn(batch * (K + 1), vocab, device="cuda")
    q = torch.softmax(logits + 0.5 * torch.randn_like(logits), -1)
    drawn = torch.multinomial(q, 1).reshape(batch, K + 1)[:, :K].cpu().numpy()
    tokens = np.concatenate((np.zeros((batch, 1), np.int64), drawn), 1)
    parents = np.tile(np.arange(-1, K), batch)
    return tokens.reshape(-1), parents, np.arange(batch + 1) * (K + 1), logits, q


def verification_row(bench: Bench, what: str, batch: int) -> Row:
    """Held against a kernel that reads the rows, launched and waited for as verdicts are."""
    import torch  # noqa: PLC0415

    arguments, stream = rows_to_verify(bench.scale.vocab, batch), torch.cuda.Stream()
    torch.cuda.synchronize()
    logits, q = arguments[3:]
    of_drafts = q.nbytes * K // (K + 1)  # from the last node nothing is drafted
    launch = bench.card.call(logits.data_ptr(), 16)
    verify_batch: Any = specdec.verify_batch
    kept: list[float] = []

    def verify() -> float:
        start = time.perf_counter()
        verdict = verify_batch(
            *arguments, method="rejection", sampling=specdec.Sampling(1.0, seed=1),
            stream=stream,
        )  # fmt: skip
        seconds = time.perf_counter() - start
        kept.append(float(np.mean(verdict.accepted)))
        return seconds

    def read() -> float:
        whole = bench.card.call(logits.data_ptr(), logits.nbytes)
        return whole + bench.card.call(q.data_ptr(), of_drafts) - launch  # waited for once

    found = in_turns({"verify": verify, "read": read}, 10 * bench.scale.repeats)
    return bench.row(
        what, f"{found['verify'] * 1e6:.1f} us", f"{found['read'] * 1e6:.1f} us",
        found["verify"] / found["read"], "<= 1.5",
        f"{kept[0]:.1f} of {K} kept; the floor is a kernel that reads the rows, and its wait",
    )  # fmt: skip


def why_no_tensors() -> str | None:
    """Why PyTorch cannot lend rows on this card."""
    try:
        import torch  # noqa: PLC0415
    except ImportError as error:
        return str(error)
    if not torch.cuda.is_available():
        return "torch sees no CUDA device"
    takes_rows = "stream" in (getattr(specdec.verify_batch, "__text_signature__", None) or "")
    return None if takes_rows else "this build verifies no rows on a card"


def verification(bench: Bench) -> Iterator[Row]:
    reason = why_no_tensors()
    for batch in (1, 64):
        what = f"rejection, K = {K}, batch {batch}, vocabulary {bench.scale.vocab:,}, on the card"
        if reason is not None:
            yield Row(what, "-", note=f"skipped: {reason}")
        else:
            yield verification_row(bench, what, batch)


# --- beside transformers ---


def peer_results(bench: Bench) -> dict[str, Any]:
    """What benchmarks/beside_transformers.py has measured by the time it has to end."""
    seconds = min(PEER_SECONDS, bench.left - 25)  # the rest is measured once more
    if not bench.judges or seconds < 30:
        return {"reason": "tiny shapes" if not bench.judges else "too little time was left"}
    s = bench.scale
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "peer.json")
        wanted = {"target": s.target, "draft": s.draft, "prompt": s.prompt, "tokens": s.tokens,
                  "length": K, "seconds": seconds}  # fmt: skip
        program = Path(__file__).with_name("beside_transformers.py")
        command = [sys.executable, str(program), "--shapes", json.dumps(wanted)]
        command += ["--json", str(file)]
        try:
            run = subprocess.run(command, timeout=seconds, capture_output=True, check=False)
            last = run.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["it failed"]
            reason = last[0] if run.returncode else ""
        except subprocess.TimeoutExpired:
            reason = f"it was not done after {seconds:.0f} s"
        found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    return {"reason": reason} | found


def beside_transformers(bench: Bench) -> Iterator[Row]:
    """Tokens per second of whole calls: the same prompt, as many new tokens, greedy, batch 1."""
    s, target = bench.scale, bench.model("target")
    peer = peer_results(bench)
    drafters = {"decoding": None, "assisted": specdec.DraftModel(bench.model("draft"), K)}
    names = {"decoding": "decoding", "assisted": f"assisted by 1B, {K} tokens a round,"}
    for key, drafter in drafters.items():
        decoder = specdec.Decoder(target, drafter, max_length=s.prompt + s.tokens + 16)
        prompt, kept = prompt_of(bench, s.prompt), [0.0]

        def generate(
            decoder: specdec.Decoder = decoder, prompt: Any = prompt, kept: list[float] = kept
        ) -> float:
            (made,) = decoder.generate([prompt], max_tokens=s.tokens, ignore_eos=True)
            kept[0] = float(made.rounds["accepted"].mean())
            return len(made.tokens) / made.seconds

        rate = in_turns({"rate": generate}, s.repeats)["rate"]
        what = f"8B, {names[key]} over transformers"
        if key not in peer:
            reason = peer["reason"] or "it gave no number"
            yield Row(what, f"{rate:.1f} tokens/s", note=f"transformers skipped: {reason}")
            continue
        other = peer[key]
        note = other["setting"] if drafter is None else f"{kept[0]:.2f} kept; {other['setting']}"
        yield bench.row(
            what, f"{rate:.1f} tokens/s", f"{other['rate']:.1f} tokens/s", rate / other["rate"],
            ">= 1.0", note,
        )  # fmt: skip


# --- the table ---

SECTIONS: dict[str, tuple[Callable[[Bench], Iterator[Row]], float]] = {
    "decoding": (decoding, 20),
    "many rows": (many_rows, 10),
    "prefill": (prefill, 10),
    "host": (host, 10),
    "verification": (verification, 15),
    "transformers": (beside_transformers, 15),
}  # what measures, and the seconds without which it is not begun


def measure(bench: Bench, names: list[str]) -> list[Row]:
    rows: list[Row] = []
    for name in names:
        section, least = SECTIONS[name]
        if bench.left < least:
            rows.append(Row(name, "-", note="skipped: too little time was left"))
        else:
            rows += section(bench)
            print(f"{name}: measured, {bench.left:.0f} s left", file=sys.stderr, flush=True)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="write the table here, too")
    parser.add_argument("--smoke", action="store_true", help="tiny shapes; nothing is judged")
    parser.add_argument("--seconds", type=float, default=1e9, help="begin nothing after these")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(find_card(Path(folder)), SMOKE if options.smoke else FULL, options.seconds)
        first = measure(bench, list(SECTIONS))
        second = measure(bench, [name for name in SECTIONS if name != "transformers"])
    device = specdec.info()["cuda"]["devices"][0]
    head = f"specdec {specdec.info()['version']}, {device['name']}"
    table = with_again(first, second)
    print(head, HEAD, *map(line, table), sep="\n")
    if options.json is not None:
        raw = {"copies": bench.copies, "reads": bench.reads, "multiplies": bench.multiplies}
        what = {"machine": head, "device": device, "judged": bench.judges, "rows": table}
        options.json.write_text(json.dumps(what | {"raw": raw}, indent=1) + "\n")
    return int(any(row["holds"] is False for row in table))


if __name__ == "__main__":
    sys.exit(main())
