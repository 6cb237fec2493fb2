"""What the study's commands have in common: flags, and errors as one sentence with an exit code."""

import argparse
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from datetime import datetime

import specdec

from specdec_study.errors import RunFailedError, UserError

USER_ERROR, RUN_FAILED, INTERRUPTED = 2, 1, 130


def parser(module: str, description: str, examples: str) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog=module,
        description=description,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument("--version", action="version", version=f"specdec {specdec.__version__}")
    return made


def add_benchmark(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--benchmark",
        required=True,
        metavar="FILE",
        help="prompts as JSON lines, or the name of a known set: gsm8k, humaneval, ...",
    )


def add_run_flags(made: argparse.ArgumentParser) -> None:
    """Of every command that makes runs."""
    data = made.add_argument_group("data", "which entries of the benchmark are asked")
    data.add_argument("--start", type=int, metavar="N", help="the first entry, counted from 0")
    data.add_argument("--end", type=int, metavar="N", help="the entry before which to end")
    data.add_argument("--num-samples", "--limit", type=int, metavar="N", help="at most so many")
    data.add_argument("--max-prompt", type=int, metavar="N", help="tokens of a prompt at most")
    data.add_argument("--skip-bad-lines", action="store_true", default=None, help="and count them")
    out = made.add_argument_group("output")
    out.add_argument("--no-save", action="store_true", help="write nothing")
    out.add_argument("--resume", action="store_true", help="go on with what a stopped run has left")
    out.add_argument("--quiet", action="store_true", help="show no progress")
    settings = made.add_argument_group("settings")
    settings.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="any key of a configuration: --set generation.temperature=0",
    )


DATA_FLAGS = ("start", "end", "num_samples", "max_prompt", "skip_bad_lines")


def overrides_of(options: argparse.Namespace, unknown: Sequence[str]) -> list[str]:
    """`--set KEY=VALUE`, `--KEY VALUE` and `--KEY=VALUE` with a dotted key, and the data flags."""
    flags = [(name, getattr(options, name)) for name in DATA_FLAGS]
    found = [f"data.{name}={value}" for name, value in flags if value is not None]
    rest = list(unknown)
    while rest:
        flag = rest.pop(0)
        name, equals, value = flag.removeprefix("--").partition("=")
        if not flag.startswith("--") or "." not in name:
            raise UserError(f"'{flag}' is not a flag of this command: --help lists them")
        if not equals and not rest:
            raise UserError(f"{flag}: a value is missing after it")
        found.append(f"{name}={value if equals else rest.pop(0)}")
    return [*found, *options.set]


def timestamp() -> str:
    return datetime.now().strftime("%Y%m%d_%H%M%S")


def stop_like_ctrl_c() -> None:
    """Asked to end in another way, a run also writes what it has."""
    if threading.current_thread() is threading.main_thread():
        for name in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(name) == signal.SIG_DFL:
                signal.signal(name, signal.default_int_handler)


def check_arguments(arguments: Sequence[str]) -> None:
    """What a run was asked with stands in its files, which are UTF-8."""
    for argument in arguments:
        if argument != argument.encode("utf-8", "replace").decode():
            raise UserError(f"{argument!r} is not UTF-8: give the file another name")


def run_command(main: Callable[[], int | None]) -> int:
    """The exit code: 0, 1 for a run that failed, 2 for wrong input, 130 for Ctrl-C."""
    stop_like_ctrl_c()
    try:
        check_arguments(sys.argv[1:])
        return main() or 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return USER_ERROR
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"error: {where}{error.strerror or error}", file=sys.stderr)
        return USER_ERROR
    except RunFailedError as error:
        print(f"failed: {error}", file=sys.stderr)
        return RUN_FAILED
    except KeyboardInterrupt:
        print("stopped: --resume goes on from here", file=sys.stderr)
        return INTERRUPTED
