"""What all tests share: Hypothesis runs that repeat themselves, and a line that says what ran."""

import hypothesis
import specdec

hypothesis.settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("repeatable")


def pytest_report_header() -> str:
    return f"specdec: {specdec.__file__}: {specdec.info()}"
