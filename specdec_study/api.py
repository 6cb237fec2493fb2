"""What the main command does, for scripts and notebooks."""

from collections.abc import Sequence
from pathlib import Path

from specdec_study.config import Config, load_config
from specdec_study.events import Event, Observer
from specdec_study.results import Results
from specdec_study.runner import run_jobs
from specdec_study.session import Job


def jobs_for(config: Config, name: str, folder: Path | None, baseline: bool) -> list[Job]:
    """The run and, beside it, plain decoding of the same requests."""
    if not baseline or config.drafter is None:
        return [Job(name, config, folder)]
    beside = Job("baseline", config.baseline(), folder / "baseline" if folder else None)
    return [Job(name, config, folder, baseline="baseline"), beside]


def silent(_: Event) -> None:
    """The observer of a script that wants results only."""


def run_experiment(
    benchmark: str | Path,
    config: Config | str | Path,
    output_dir: str | Path,
    *,
    overrides: Sequence[str] = (),
    baseline: bool = False,
    resume: bool = False,
    observe: Observer = silent,
) -> Results:
    """The command as a function: what it wrote, read back."""
    if not isinstance(config, Config):
        config = load_config([Path(config)], overrides)
    folder = Path(output_dir)
    jobs = jobs_for(config, folder.name, folder, baseline)
    return run_jobs(jobs, str(benchmark), observe, resume=resume)[0]
