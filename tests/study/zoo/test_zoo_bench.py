"""The benchmark that ships: its shape, and that no model of the zoo has seen it."""

from collections import Counter

import numpy as np
import pytest
from support.repository import ROOT

from specdec_study.zoo.chat import conversation
from specdec_study.zoo.fingerprints import SURE, shared
from specdec_study.zoo.questions import Question, read_questions
from specdec_study.zoo.tasks import TASKS, example
from specdec_study.zoo.tasks.material import Material

BENCH = ROOT / "data/mini-bench.jsonl"
QUESTIONS = read_questions(BENCH)
TRAINING = np.load(ROOT / "data/mini-bench.training.npy")


def test_there_are_enough_questions_of_every_category() -> None:
    counts = Counter(question.category for question in QUESTIONS)
    assert set(counts) == set(TASKS)
    assert sum(counts.values()) >= 80
    assert min(counts.values()) >= 10


def test_questions_have_the_shape_of_spec_bench() -> None:
    assert [question.id for question in QUESTIONS] == list(range(1, len(QUESTIONS) + 1))
    for question in QUESTIONS:
        assert question.turns
        assert all(turn.strip() for turn in question.turns)
        assert (len(question.turns) > 1) == (question.category == "multi-turn")
    assert len({tuple(question.turns) for question in QUESTIONS}) == len(QUESTIONS)


def test_the_file_is_what_its_questions_say() -> None:
    assert "".join(question.line() for question in QUESTIONS) == BENCH.read_text(encoding="utf-8")


def test_no_question_has_a_long_span_of_the_training_text() -> None:
    seen = [
        (question.id, shared(turn, TRAINING))
        for question in QUESTIONS
        for turn in question.turns
        if shared(turn, TRAINING)
    ]
    assert seen == []


@pytest.mark.parametrize("category", ["arithmetic", "structured-data", "multi-turn"])
def test_a_planted_training_example_is_found(category: str) -> None:
    """Made examples of the training stream that need no documents, put into a question."""
    made = (example(category, "train", number, Material()) for number in range(200))
    texts = [text for one in made if len(text := conversation(one.turns)) > SURE]
    assert len(texts) > 50
    for text in texts:
        planted = Question(1, category, [f"Something else first. {text}"])
        assert shared(planted.turns[0], TRAINING) > 0


def test_made_questions_are_those_of_their_own_stream() -> None:
    """Seeds decide them, so anybody can make them again."""
    made = {
        tuple(turn.user for turn in example("arithmetic", "bench", number, Material()).turns)
        for number in range(500)
    }
    asked = [tuple(q.turns) for q in QUESTIONS if q.category == "arithmetic"]
    assert set(asked) <= made
