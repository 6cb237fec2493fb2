"""How much a test does: SPECDEC_FEWER_CASES divides it, for builds that are slow."""

import os


def fewer(count: int) -> int:
    return max(1, count // int(os.environ.get("SPECDEC_FEWER_CASES", "1")))
