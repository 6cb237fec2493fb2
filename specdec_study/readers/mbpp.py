"""MBPP: {"task_id": ..., "text" or "prompt": ..., "test_list": [...], "code": ...}."""

from specdec_study.readers.reader import Reader
from specdec_study.readers.record import Record, identity, list_of, optional_text, rest, text
from specdec_study.readers.sample import Sample


def sample(record: Record, line: int) -> Sample:
    """The tests belong to the task: they alone say what the function is called."""
    task = text(record, "prompt" if record.get("text") is None else "text")
    tests = "\n".join(list_of(record, "test_list", str))
    return Sample(
        id=identity(record, "task_id", line),
        prompt=f"{task}\nThe code must pass these tests:\n\n{tests}\n",
        reference=optional_text(record, "code"),
        meta=rest(record, "task_id", "code"),
    )


READER = Reader("mbpp", frozenset({"task_id", "test_list"}), sample)
