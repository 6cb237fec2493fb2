"""What all tests share: Hypothesis runs that repeat themselves, a line that says what ran, and an
end to a run that may take only so long (SPECDEC_TEST_SECONDS)."""

import os
import time

import hypothesis
import pytest
import specdec

BEGUN = time.monotonic()
SECONDS = float(os.environ.get("SPECDEC_TEST_SECONDS", "inf"))

hypothesis.settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("repeatable")


def pytest_report_header() -> str:
    return f"specdec: {specdec.__file__}: {specdec.info()}"


def pytest_runtest_setup() -> None:
    if time.monotonic() - BEGUN > SECONDS:
        pytest.skip("the run's time was over")
