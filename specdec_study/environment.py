"""What a run was made on and with: the machine, the versions, its load and its noise."""

import os
import platform
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import specdec

PACKAGES = ("numpy", "tokenizers", "pydantic", "jinja2")
PROBE_BYTES = 64 << 20  # beyond most caches, so that it feels who else uses the memory
PROBE_EVERY_S = 5.0


def versions() -> dict[str, str]:
    found = {"specdec": specdec.__version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def git(*arguments: str) -> str | None:
    """Of the checkout that this package is in, if it is in one."""
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def source() -> dict[str, Any]:
    changes = git("status", "--porcelain", "--untracked-files=no")
    return {"commit": git("rev-parse", "HEAD"), "dirty": None if changes is None else bool(changes)}


def governor() -> str | None:
    try:
        text = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").read_text()
    except OSError:
        return None
    return text.strip()


def memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def machine() -> dict[str, Any]:
    info = specdec.info()
    return {
        "system": platform.platform(),
        "cpu": info["cpu"],
        "instructions": info["isa"],
        "cores": os.cpu_count(),
        "threads": info["threads"],
        "cards": [device.get("name") for device in info["cuda"]["devices"]],
        "governor": governor(),
        "memory_bytes": memory_bytes(),
    }


def command_line() -> list[str]:
    """As it was given, but for what looks like a secret."""
    secret = re.compile(r"(?i)(token|secret|password|api[-_]?key)(=).+")
    return [secret.sub(r"\1\2...", argument) for argument in sys.argv]


def now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


@dataclass(slots=True)
class Noise:
    """How long the same small work takes, again and again between requests: other users of the
    machine show up here, whatever the runs themselves do."""

    seconds: list[float] = field(default_factory=list)
    last: float = -PROBE_EVERY_S
    buffer: Any = field(default_factory=lambda: np.ones(PROBE_BYTES // 8))

    def probe(self) -> None:
        """At most every few seconds, so that it costs a run next to nothing."""
        begun = time.monotonic()
        if begun - self.last < PROBE_EVERY_S:
            return
        self.buffer.sum()
        self.last = time.monotonic()
        self.seconds.append(self.last - begun)

    def summary(self) -> dict[str, Any]:
        if not self.seconds:
            return {"probes": 0}
        low, middle, high = min(self.seconds), median(self.seconds), max(self.seconds)
        return {
            "probes": len(self.seconds),
            "bytes": PROBE_BYTES,
            "median_s": middle,
            "slowest_over_fastest": high / low,
        }


def load() -> list[float]:
    """Processes that want to run: over 1, 5 and 15 minutes."""
    return [round(x, 2) for x in os.getloadavg()]
