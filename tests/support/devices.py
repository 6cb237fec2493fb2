"""The cards of this machine, and the emulated one of builds with SPECDEC_CUDA=emulated."""

from typing import Any

import pytest
import specdec

CUDA: dict[str, Any] = specdec.info()["cuda"]
IS_EMULATED: bool = CUDA.get("architectures") == "emulated"

needs_card = pytest.mark.skipif(
    not CUDA["devices"], reason=f"there is no CUDA device: {CUDA['reason']}"
)
needs_emulator = pytest.mark.skipif(
    not IS_EMULATED,
    reason="only the emulated card (SPECDEC_CUDA=emulated) fails when it is told to",
)
