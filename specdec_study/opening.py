"""Opens a run, so that whatever can fail fails before the first request, and closes it again."""

import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from specdec_study import environment, folder
from specdec_study.benchmark import Benchmark, Sample, Selection, load_benchmark
from specdec_study.config import Config
from specdec_study.conversation import n_turns, next_prompt
from specdec_study.engine import Engine, Models, folder_of
from specdec_study.errors import UserError
from specdec_study.events import Note, Observer
from specdec_study.journal import Journal
from specdec_study.records import Record
from specdec_study.results import ENVIRONMENT, read_environment
from specdec_study.session import Job, OpenRun
from specdec_study.text import Text


def longest_text(config: Config, model_config: dict[str, Any], longest_prompt: int) -> int:
    """Tokens of the longest prompt and its answer, within what the model was made for."""
    context = int(model_config.get("max_position_embeddings") or 2**17)
    wanted = config.engine.max_model_len
    if wanted is not None and wanted > context:
        raise UserError(f"engine.max_model_len is {wanted}: the model was made for {context}")
    if wanted is not None:
        return wanted
    return max(2, min(context, longest_prompt + config.generation.max_tokens))


def longest_prompt(samples: Sequence[Sample], text: Text, config: Config) -> int:
    """An upper bound; answers to earlier turns are taken to be as long as they may be.

    A sample that has no prompt fails when its turn comes; if none has one, the run fails now.
    """
    longest, failure = 0, None
    for sample in samples:
        turns = n_turns(sample)
        try:
            last = next_prompt(sample, [""] * (turns - 1), text, config)
        except UserError as error:
            failure = error
            continue
        answers = (turns - 1) * config.generation.max_tokens
        longest = max(longest, len(last.ids) + answers)
    if longest == 0 and failure is not None:
        raise failure
    return longest


def check_ids(run: OpenRun) -> None:
    """A request's name is made of its sample's, its turn and its repeat."""
    seen: set[str] = set()
    for sample in run.samples:
        for turn in range(n_turns(sample)):
            for repeat in range(run.job.config.run.repeats):
                name = Record(sample.id, turn, repeat, None, 0).request_id
                if name in seen:
                    raise UserError(f"two requests are called '{name}': rename the sample")
                seen.add(name)


def read_samples(path: str, config: Config, text: Text) -> Benchmark:
    data = config.data
    return load_benchmark(
        path,
        reader=data.reader,
        selection=Selection(data.start, data.end, data.num_samples, data.max_prompt, data.shuffle),
        skip_bad_lines=data.skip_bad_lines,
        count_tokens=lambda content: len(text.encode(content)),
    )


def remarks(config: Config, benchmark: Benchmark, text: Text) -> Iterator[str]:
    """What a user has to know of before the run, and what is no mistake."""
    for bad in benchmark.bad_lines:
        yield f"{bad.file}, line {bad.line} is skipped: {bad.reason}"
    generation = config.generation
    is_chat = generation.apply_chat_template
    if all(s.token_ids is not None or (s.prompt is not None and not is_chat) for s in benchmark):
        for name in ("system_instruction", "chat_template_kwargs"):
            if getattr(generation, name):
                yield f"generation.{name} has no effect: no prompt of {benchmark.name} is a chat"
        if text.has_template and not is_chat and any(s.prompt is not None for s in benchmark):
            yield (
                f"prompts of {benchmark.name} are read as they are, though the model knows chats: "
                "--generation.apply_chat_template true makes them chats"
            )


def open_run(job: Job, path: str, models: Models, resume: bool, observe: Observer) -> OpenRun:
    """Everything that can fail before the first request fails here; nothing is written yet."""
    config = job.config
    known = {}
    if job.folder is not None and folder.check_folder(job.folder, resume):
        known = read_environment(job.folder)
    model = models.target(config)
    clock = datetime.fromisoformat(known["clock"]) if known else datetime.now()
    weights = folder_of(model)
    text = Text.load(Path(config.tokenizer) if config.tokenizer else weights, clock)
    benchmark = read_samples(path, config, text)
    for remark in remarks(config, benchmark, text):
        observe(Note(remark))
    length = longest_text(config, model.config, longest_prompt(benchmark.samples, text, config))
    run = OpenRun(job, Engine(config, models, length), text, benchmark.samples)
    check_ids(run)
    identity = folder.identity(config, benchmark, text, weights)
    if known and job.folder is not None:
        folder.check_identity(job.folder, known, identity)
    run.environment = known or folder.describe(run, benchmark, path, identity, clock)
    return run


def enter_folder(run: OpenRun, runs: Sequence[OpenRun]) -> None:
    """Takes the folder for this session, and over what earlier ones have done."""
    place = run.job.folder
    if place is None:
        return
    folder.make_folder(place)
    journal = Journal.open(place)
    try:
        take_over(run, place)
        run.records = {record.key: record for record in journal.finished()}
    except BaseException:
        journal.close()
        raise
    run.journal = journal
    baselines = [r.job.folder for r in runs if r.job.name == run.job.baseline and r.job.folder]
    if baselines:
        run.environment["baseline"] = os.path.relpath(baselines[0], place)
    run.environment["sessions"].append(
        {"started": environment.now(), "load_before": environment.load()}
    )
    folder.save_config(place, run.job.config)
    folder.write_environment(place, run.environment)


def take_over(run: OpenRun, place: Path) -> None:
    """Now that the folder is locked: somebody else may have been there since it was looked at."""
    if (place / ENVIRONMENT).exists():
        known, identity = read_environment(place), run.environment["identity"]
        folder.check_identity(place, known, identity)
        if not run.environment["sessions"]:
            raise UserError(f"{place}: another run has begun there: name another folder")
        run.environment = known


def leave_folder(run: OpenRun, noise: environment.Noise) -> None:
    """Says how the session was; what it has done is in the journal."""
    place = run.job.folder
    if place is None or run.journal is None:
        return
    run.journal.close()
    run.environment["sessions"][-1] |= {
        "ended": environment.now(),
        "load_after": environment.load(),
        "noise": noise.summary(),
    }
    folder.write_environment(place, run.environment)
