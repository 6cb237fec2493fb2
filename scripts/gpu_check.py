"""The parts of scripts/gpu_check.sh, one after the other, each within its share of the time.

A part gets what is left, less what those after it cannot do without. It passes, fails or is skipped
with a reason; whatever one does, the next is tried. Tests and benchmarks are told when to stop, and
say what they left out; what does not stop is killed, and has failed.
"""

import argparse
import ctypes
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
TOTAL_SECONDS = 9 * 60 - 15  # some for the table
GRACE_SECONDS = 10  # from being told to stop to being killed
IS_EMULATED = os.environ.get("SPECDEC_CUDA") == "emulated"  # this program's own rehearsal


class Result(NamedTuple):
    state: str  # pass, fail, skipped
    note: str = ""


class Part(NamedTuple):
    name: str
    least: float  # seconds without which it is not begun
    run: Callable[[float, Path], Result]  # within these seconds; its log goes to this file


# --- running things ---


def execute(command: list[str], seconds: float, log: Path, **environment: str) -> int | None:
    """The exit status, or None if it had to be killed, with all that it had started."""
    env = os.environ | {"PYTHONPATH": str(ROOT)} | environment
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=env, stdout=output, stderr=output, start_new_session=True
        )
        try:
            return process.wait(max(1.0, seconds))
        except (subprocess.TimeoutExpired, KeyboardInterrupt) as stop:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(stop, KeyboardInterrupt):
                raise
            return None


def last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    return next((line for line in reversed(lines) if line), "it said nothing")[:160]


# --- the cards ---


def cards() -> list[dict[str, Any]]:
    """What the driver says; empty without one."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return []
    count, found = ctypes.c_int(0), []
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return []
    for index in range(count.value):
        device, value, name = ctypes.c_int(0), ctypes.c_int(0), ctypes.create_string_buffer(256)
        driver.cuDeviceGet(ctypes.byref(device), index)
        driver.cuDeviceGetName(name, 256, device)
        capability = []
        for attribute in (75, 76):  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR
            driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
            capability.append(value.value)
        found.append({"name": name.value.decode(), "compute_capability": capability})
    return found


def find_cublas() -> None:
    """Where only Python's packages have cuBLAS, that is where the engine looks, too."""
    for folder in map(Path, sys.path):
        for library in sorted(folder.glob("nvidia/*/lib/libcublas.so.*")):
            paths = [os.environ.get("LD_LIBRARY_PATH", ""), str(library.parent)]
            os.environ["LD_LIBRARY_PATH"] = ":".join(filter(None, paths))


# --- the parts ---


def build(seconds: float, log: Path) -> Result:
    architectures = {"".join(map(str, card["compute_capability"])) for card in cards()}
    kind = {} if IS_EMULATED else {
        "SPECDEC_CUDA": "on", "SPECDEC_CUDA_ARCHS": ";".join(sorted(architectures, key=int)),
    }  # fmt: skip
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    status = execute(command, seconds, log, **kind)
    if status is None:
        return Result("fail", f"not done in {seconds:.0f} s")
    return Result("pass" if status == 0 else "fail", "" if status == 0 else last_line(log))


def told(file: Path) -> tuple[int, int, int, str]:
    """Tests that were run, that failed and that were skipped, and a reason for the latter."""
    suite = ElementTree.parse(file).getroot().find("testsuite")
    assert suite is not None
    count = {key: int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped")}
    reasons = [skip.get("message", "") for skip in suite.iter("skipped")]
    failed = count["failures"] + count["errors"]
    common = max(set(reasons), key=reasons.count) if reasons else ""
    return count["tests"] - count["skipped"], failed, count["skipped"], common


def checking(
    files: list[str], *options: str, under: Callable[[], list[str]] = list, cases: int = 1
) -> Callable[[float, Path], Result]:
    def run(seconds: float, log: Path) -> Result:
        report = log.with_suffix(".xml")
        report.unlink(missing_ok=True)
        present = [name for name in files if (ROOT / name).exists()]
        command = [*under(), sys.executable, "-m", "pytest", "-q", "-o", "filterwarnings=default",
                   f"--junitxml={report}", *options, *present]  # fmt: skip
        if not present:
            return Result("skipped", f"this checkout has no {' '.join(files)}")
        status = execute(
            command, seconds, log, SPECDEC_FEWER_CASES=str(cases),
            SPECDEC_TEST_SECONDS=str(seconds - GRACE_SECONDS),
        )  # fmt: skip
        if status is None:
            return Result("fail", f"not done in {seconds:.0f} s, and would not stop")
        if not report.exists():
            return Result("fail", last_line(log))
        n, failed, skipped, reason = told(report)
        note = f"{n} tests" + (f", {skipped} skipped: {reason}" if skipped else "")
        if failed or status not in (0, 5):
            why = f"{failed} of {note} failed" if failed else last_line(log)
            return Result("fail", why)
        return Result("pass" if n else "skipped", note)

    return run


def sanitizer(tool: str) -> Callable[[], list[str]]:
    def command() -> list[str]:
        program = shutil.which("compute-sanitizer") or "/usr/local/cuda/bin/compute-sanitizer"
        return [program, f"--tool={tool}", "--error-exitcode=9", "--target-processes=all"]

    return command


SMALL = ["-k", "f32_logits or repeated_launches or committed_path or (greedy_text and chain)"]


def sanitized(tool: str) -> Callable[[float, Path], Result]:
    program = sanitizer(tool)
    checked = checking(["tests/backend/test_cuda_model.py"], *SMALL, under=program, cases=100)

    def run(seconds: float, log: Path) -> Result:
        if IS_EMULATED or not shutil.which(program()[0]):
            return Result("skipped", "there is no compute-sanitizer")
        return checked(seconds, log)

    return run


def benchmarks(seconds: float, log: Path) -> Result:
    table = log.with_suffix(".json")
    table.unlink(missing_ok=True)
    command = [sys.executable, "benchmarks/gpu.py", "--json", str(table)]
    command += ["--smoke"] if IS_EMULATED else []
    command += ["--seconds", str(seconds - GRACE_SECONDS)]
    status = execute(command, seconds, log)
    if status is None:
        return Result("fail", f"not done in {seconds:.0f} s, and would not stop")
    if not table.exists():
        return Result("fail", last_line(log))
    rows = json.loads(table.read_text())["rows"]
    missed = [row["what"] for row in rows if row["holds"] is False]
    held = sum(row["holds"] is True for row in rows)
    note = f"{held} limits held" + (
        f", {len(missed)} missed: {'; '.join(missed)}" if missed else ""
    )
    return Result("fail" if missed or status else "pass", note)


OPERATIONS = [
    "tests/backend/test_ops.py", "tests/backend/test_attention.py",
    "tests/backend/test_judging.py", "tests/python/test_cuda_torch.py",
]  # fmt: skip
MODELS = ["tests/backend/test_cuda_model.py"]
ERRORS = ["tests/backend/test_cuda_errors.py", "tests/backend/test_loader.py"]
TEXTS = "greedy_text or coupled_text or requests or texts or apart"
BITS = "rows or chunking or committed or commits or histories or repeated or prompts or prompt"
PARTS = [
    Part("build", 20, build),
    Part("operations beside the C code", 20, checking(OPERATIONS, "-k", "cuda")),
    Part("rows do not know their neighbours", 20, checking(MODELS, "-k", BITS, cases=4)),
    Part("models beside the processor", 20,
         checking(MODELS, "-k", f"not ({BITS}) and not ({TEXTS})", cases=4)),
    Part("texts of every drafter", 20, checking(MODELS, "-k", TEXTS, cases=4)),
    Part("errors", 10, checking(ERRORS)),
    Part("memcheck", 40, sanitized("memcheck")),
    Part("racecheck", 40, sanitized("racecheck")),
    Part("benchmarks", 90, benchmarks),
]  # fmt: skip


# --- the whole ---


def log_of(folder: Path, number: int, part: Part) -> Path:
    return folder / f"{number + 1}-{part.name.replace(' ', '-')}.log"


def run_parts(parts: list[Part], seconds: float, folder: Path) -> Iterator[dict[str, Any]]:
    """Each part's outcome, within these seconds in all."""
    end = time.monotonic() + seconds
    for i, part in enumerate(parts):
        begun = time.monotonic()
        given = end - begun - sum(later.least for later in parts[i + 1 :])
        log = log_of(folder, i, part)
        if given < part.least:
            result = Result("skipped", f"{given:.0f} s were left for it, {part.least:.0f} needed")
        else:
            try:
                result = part.run(given, log)
            except Exception as error:  # the next part is tried all the same
                result = Result("fail", f"{type(error).__name__}: {error}")
        spent = time.monotonic() - begun
        print(f"== {part.name}: {result.state} in {spent:.0f} s", file=sys.stderr, flush=True)
        yield {"part": part.name, "state": result.state, "seconds": spent, "note": result.note}


def table(outcomes: list[dict[str, Any]], folder: Path) -> str:
    lines = [f"{'part':36} {'outcome':8} {'seconds':>7}"]
    for outcome in outcomes:
        lines.append(f"{outcome['part']:36} {outcome['state']:8} {outcome['seconds']:7.0f}  "
                     f"{outcome['note']}".rstrip())  # fmt: skip
    logs = sorted(folder.glob("*benchmarks.log"))
    text = logs[0].read_text(errors="replace") if logs else ""
    _, found, measured = text.rpartition("\nspecdec ")
    return "\n".join(lines) + (f"\n\nspecdec {measured.rstrip()}" if found else "")


def document(outcomes: list[dict[str, Any]], folder: Path) -> dict[str, Any]:
    tables = sorted(folder.glob("*benchmarks.json"))
    return {
        "machine": {
            "cards": cards(), "emulated": IS_EMULATED, "system": platform.platform(),
            "python": platform.python_version(), "processors": os.cpu_count(),
        },
        "parts": outcomes,
        "benchmarks": json.loads(tables[0].read_text()) if tables else None,
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT / "results" / "gpu")
    parser.add_argument("--spent", type=float, default=0, help="seconds that are gone already")
    options = parser.parse_args()
    if not IS_EMULATED and not cards():
        print("error: the CUDA driver shows no device here: nothing can be checked",
              file=sys.stderr)  # fmt: skip
        return 1
    folder: Path = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    for number, part in enumerate(PARTS):
        for suffix in (".log", ".xml", ".json"):
            log_of(folder, number, part).with_suffix(suffix).unlink(missing_ok=True)
    find_cublas()
    outcomes = list(run_parts(PARTS, TOTAL_SECONDS - options.spent, folder))
    (folder / "gpu.json").write_text(json.dumps(document(outcomes, folder), indent=1) + "\n")
    print(f"{table(outcomes, folder)}\n\n{folder / 'gpu.json'}")
    return int(any(outcome["state"] == "fail" for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
