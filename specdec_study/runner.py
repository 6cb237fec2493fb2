"""Makes runs: every request of every job, interleaved so that drift of the machine falls on all
alike, each on disk before the next begins."""

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

from specdec_study.benchmark import Sample
from specdec_study.conversation import Prompt, n_turns, next_prompt
from specdec_study.engine import Models, set_threads
from specdec_study.environment import Noise
from specdec_study.errors import RunFailedError, UserError
from specdec_study.events import Answered, Ended, Event, Note, Observer, Started
from specdec_study.opening import enter_folder, leave_folder, open_run
from specdec_study.records import Record
from specdec_study.results import Results, read_one, recorded_baseline
from specdec_study.session import Job, OpenRun
from specdec_study.write import write_derived

WARMUP_TOKENS = 16


def request_number(sample: Sample, turn: int, repeat: int) -> int:
    """Randomness follows the request itself, not its place in a run: 56 bits of a hash."""
    digest = hashlib.sha256(f"{repeat}/{turn}/{sample.id}".encode()).digest()
    return int.from_bytes(digest[:7], "little")


def ask(run: OpenRun, sample: Sample, asked: Record, prompt: Prompt) -> Record:
    number = request_number(sample, asked.turn, asked.repeat)
    stops = run.text.stops(run.job.config.generation.stop)
    made = run.engine.answer(prompt.ids, number, stops)
    return replace(
        asked,
        prompt=prompt.said,
        prompt_sha256=prompt.sha256,
        prompt_tokens=made.prompt_tokens,
        shared_tokens=made.shared_tokens,
        response=stops.text if stops.ended else run.text.decode(made.tokens),
        finish_reason=made.finish,
        tokens=made.tokens,
        walltime=made.walltime,
        prefill_s=made.prefill_s,
        ttft_s=made.ttft_s,
        rounds=made.rounds,
        nodes=made.nodes,
    )


def is_stale(record: Record, run: OpenRun) -> bool:
    """What failed in an earlier session is tried again."""
    return record.error is not None and record.session < run.number


def converse(run: OpenRun, sample: Sample, repeat: int) -> Iterator[Record]:
    """The turns that are not done yet. A turn that fails takes the later ones with it."""
    answers: list[str] = []
    for turn in range(n_turns(sample)):
        known = run.records.get((sample.id, turn, repeat))
        if known is None or is_stale(known, run):
            asked = Record(sample.id, turn, repeat, sample.category, run.number)
            try:
                prompt = next_prompt(sample, answers, run.text, run.job.config)
                known = ask(run, sample, asked, prompt)
            except ValueError as error:
                known = replace(asked, error=str(error))
            yield known
        if known.error is not None:
            return
        answers.append(known.response)


def schedule(runs: Sequence[OpenRun]) -> Iterator[tuple[OpenRun, Sample, int]]:
    """Sample by sample; who goes first changes each time."""
    repeats = max(run.job.config.run.repeats for run in runs)
    longest = max(len(run.samples) for run in runs)
    for number in range(repeats * longest):
        repeat, place = divmod(number, longest)
        first = number % len(runs)
        for run in (*runs[first:], *runs[:first]):
            if place < len(run.samples) and repeat < run.job.config.run.repeats:
                yield run, run.samples[place], repeat


def warm_up(run: OpenRun) -> None:
    """Untimed: caches, clocks and pages are as they will be."""
    for _ in range(run.job.config.run.warmup):
        with contextlib.suppress(ValueError):
            ids = next_prompt(run.samples[0], [], run.text, run.job.config).ids
            run.engine.answer(ids[-WARMUP_TOKENS:], 0, run.text.stops(()))


def make(runs: Sequence[OpenRun], observe: Observer, noise: Noise) -> None:
    """The loop of a study."""
    for run in runs:
        warm_up(run)
    for run, sample, repeat in schedule(runs):
        noise.probe()
        for record in converse(run, sample, repeat):
            run.keep(record)
            observe(Answered(run.job.name, record))
            give_up_on_failures(run)


def give_up_on_failures(run: OpenRun) -> None:
    errors = [
        record.error
        for record in run.records.values()
        if record.error is not None and not is_stale(record, run)
    ]
    if len(errors) > run.job.config.run.max_failures:
        raise RunFailedError(f"{run.job.name}: {errors[-1]}")


def with_baselines(runs: Sequence[OpenRun], alone: Sequence[Results]) -> list[Results]:
    """What was made, each run beside the one that it is compared with."""
    named = {run.job.name: made for run, made in zip(runs, alone, strict=True)}
    return [
        replace(made, baseline=named.get(run.job.baseline or "") or recorded_baseline(made))
        for run, made in zip(runs, alone, strict=True)
    ]


def close(runs: Sequence[OpenRun], noise: Noise) -> list[Results]:
    """Also after a failure: what is in the journals is measured and written. It is read from there,
    as an interruption may have come between writing a record and counting it."""
    runs = [run for run in runs if run.journal is not None or run.job.folder is None]
    for run in runs:
        leave_folder(run, noise)
    alone = [read_one(run.job.folder) if run.job.folder else run.results for run in runs]
    results = with_baselines(runs, alone)
    for made, run in zip(results, runs, strict=True):
        if run.job.folder is not None:
            write_derived(made)
    return results


def open_runs(
    jobs: Sequence[Job], benchmark: str, observe: Observer, resume: bool, tolerant: bool
) -> list[OpenRun]:
    models, runs, told = Models(), list[OpenRun](), list[Event]()

    def tell_once(event: Event) -> None:
        """Runs over one benchmark have the same to say of it."""
        if event not in told:
            told.append(event)
            observe(event)

    for job in jobs:
        try:
            runs.append(open_run(job, benchmark, models, resume, tell_once))
        except UserError as error:
            if not tolerant:
                raise
            observe(Note(f"{job.name} is left out: {error}"))
    return runs


def run_jobs(
    jobs: Sequence[Job],
    benchmark: str,
    observe: Observer,
    *,
    resume: bool = False,
    tolerant: bool = False,
) -> list[Results]:
    """All of them in one session. What is finished is kept, whatever happens to the rest.

    A tolerant session goes on without the jobs that cannot be opened.
    """
    set_threads(jobs[0].config.engine.threads)
    runs, noise = open_runs(jobs, benchmark, observe, resume, tolerant), Noise()
    if not runs:
        return []
    try:
        for run in runs:
            enter_folder(run, runs)
        observe(
            Started(
                {run.job.name: run.requests for run in runs},
                {run.job.name: len(run.records) for run in runs},
            )
        )
        make(runs, observe, noise)
    except BaseException:
        observe(Ended())
        with contextlib.suppress(UserError):  # what went wrong first is what has to be told
            close(runs, noise)
        raise
    observe(Ended())
    return close(runs, noise)
