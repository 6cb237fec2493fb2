"""The benchmark's file: one question in a line, in the shape of Spec-Bench (arXiv:2401.07851)."""

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Question:
    """What a user says, turn by turn."""

    id: int
    category: str
    turns: list[str]

    def line(self) -> str:
        entry = {"id": self.id, "category": self.category, "turns": self.turns}
        return json.dumps(entry, ensure_ascii=False) + "\n"


def read_questions(path: Path) -> list[Question]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [Question(**json.loads(line)) for line in lines]
