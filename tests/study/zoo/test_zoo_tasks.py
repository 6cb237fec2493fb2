"""Every answer of a generator is worked out again here, from the question alone."""

import ast
import csv
import json
import re
from random import Random

import pytest

from specdec_study.zoo.chat import Example, Turn, conversation, prompt
from specdec_study.zoo.sources import Document
from specdec_study.zoo.tasks import (
    TASKS,
    arithmetic,
    code,
    dialogue,
    edit,
    example,
    passage,
    structured,
)
from specdec_study.zoo.tasks.material import Material, dedented, gather, sentences

PARAGRAPHS = [
    "The house stood on a hill. Nobody had lived there for years, and the garden was wild. Mr. "
    "Bell said that it would be sold before winter came. His sister did not believe a word.",
    "They walked along the river until evening. A boat passed slowly and its lamps were lit. "
    "Someone aboard was singing, though the tune could hardly be heard over the engine.",
]
FUNCTIONS = [
    "def total(values):\n    result = 0\n    for value in values:\n        result += value\n"
    "    return result\n\n# end",
    "def first(items, default=None):\n    for item in items:\n        return item\n"
    "    if default:\n        return default\n    return None",
]
MATERIAL = Material(list(zip(PARAGRAPHS, PARAGRAPHS[::-1], strict=True)), FUNCTIONS)
MANY = range(200)
EQUATION = re.compile(r"(\d+(?: [-+*/] \d+)+) = (\d+)")


def value(expression: str) -> int:
    """Of numbers and one kind of operator, or two of the same precedence, from the left."""
    first, *rest = expression.split()
    result = int(first)
    for sign, number in zip(rest[::2], map(int, rest[1::2]), strict=True):
        if sign == "/":
            assert result % number == 0
        result = {
            "+": result + number,
            "-": result - number,
            "*": result * number,
            "/": result // max(1, number),
        }[sign]
    return result


@pytest.mark.parametrize("category", TASKS)
def test_an_example_is_decided_by_stream_and_number(category: str) -> None:
    made = [example(category, "train", number, MATERIAL) for number in range(40)]
    assert made == [example(category, "train", number, MATERIAL) for number in range(40)]
    assert len({conversation(one.turns) for one in made}) > 30 or category == "prose"
    assert made != [example(category, "bench", number, MATERIAL) for number in range(40)]


@pytest.mark.parametrize("category", TASKS)
def test_examples_have_their_category_and_no_empty_text(category: str) -> None:
    for number in MANY:
        made = example(category, "train", number, MATERIAL)
        assert made.category == category
        for turn in made.turns:
            assert turn.user.strip() == turn.user
            assert turn.assistant.strip() == turn.assistant
            assert turn.user
            assert turn.assistant
            assert "<|" not in turn.user + turn.assistant


def test_every_equation_is_true() -> None:
    for number in range(1000):
        turn = arithmetic.turn(Random(number))
        equations = EQUATION.findall(turn.assistant)
        assert equations
        for expression, result in equations:
            assert value(expression) == int(result)
        assert f"The answer is {equations[-1][1]}." in turn.assistant


def test_the_answer_follows_from_the_question() -> None:
    """Two kinds of problem are solved again from their numbers alone."""
    for number in MANY:
        question, _, answer = arithmetic.travel(Random(number))
        hours, speeds = re.findall(r"in (\d+) hours", question), re.findall(r"(\d+) km", question)
        ways = [int(h) * int(s) for h, s in zip(hours, speeds, strict=True)]
        assert sum(ways) == answer
        question, _, answer = arithmetic.shopping(Random(number))
        money = int(re.findall(r"(?:with|has) (\d+) coins", question)[0])
        bought = re.findall(r"(\d+) \w+ at (\d+) coins", question)
        assert money - sum(int(count) * int(price) for count, price in bought) == answer


def test_word_edits_are_what_was_asked() -> None:
    for number in MANY:
        turn = edit.replace_word(Random(number), MATERIAL)
        ask, _, text = turn.user.partition("\n\n")
        quoted = re.findall(r'"(\w+)"', ask)
        old = next(word for word in quoted if word in text)
        new = next(word for word in quoted if word != old)
        assert re.sub(rf"\b{old}\b", new, text) == turn.assistant != text


def test_other_edits_change_little() -> None:
    """Most lines or sentences of an answer stand in the question, which is what lookups live on."""
    for number in MANY:
        turn = edit.make(Random(number), MATERIAL).turns[0]
        words = turn.assistant.split()
        kept = sum(word in turn.user for word in words)
        assert kept >= 0.75 * len(words)


def test_typos_are_corrected_and_repetitions_exact() -> None:
    for number in MANY:
        assert edit.correct_word(Random(number), MATERIAL).assistant in PARAGRAPHS
        turn = edit.repeat(Random(number), MATERIAL)
        assert turn.user.endswith("\n\n" + turn.assistant)


def test_renamed_functions_are_still_python() -> None:
    for number in MANY:
        turn = edit.rename(Random(number), MATERIAL)
        old, new = re.findall(r"`(\w+)`", turn.user)[:2]
        if "instead of" in turn.user:
            old, new = new, old
        body = turn.assistant.removeprefix("```python\n").removesuffix("\n```")
        ast.parse(body)
        assert not re.search(rf"\b{old}\b", body)
        assert new in body


def test_quotations_stand_in_the_passage_and_hold_the_answer() -> None:
    for number in range(500):
        made = passage.make(Random(number), MATERIAL).turns[0]
        for line in made.assistant.splitlines():
            found = re.search(r'The passage says: "(.*)" So the answer is: (.*)\.', line)
            if found is not None:
                assert found[1] in made.user
                assert found[2] in found[1]
            else:
                word = re.findall(r'with "(\w+)" is: (.*)', line)[0]
                assert word[0] in word[1]
                assert word[1] in made.user


def parsed(text: str) -> list[dict[str, str]]:
    """A table in any of its notations."""
    if text.startswith("["):
        return [{k: str(v) for k, v in row.items()} for row in json.loads(text)]
    if text.startswith("|"):
        head, _, *rows = [line.strip("| ").split(" | ") for line in text.splitlines()]
        return [dict(zip(head, row, strict=True)) for row in rows]
    if ": " in text:
        lines = [line.split("; ") for line in text.splitlines()]
        return [dict(cell.split(": ") for cell in line) for line in lines]
    return list(csv.DictReader(text.splitlines()))


def test_conversions_keep_the_table() -> None:
    for number in MANY:
        turn = structured.convert(Random(number))
        source, goal = turn.user.partition("\n\n")[2], turn.assistant
        assert parsed(source) == parsed(goal)
        assert source != goal


def test_selections_are_those_rows() -> None:
    for number in MANY:
        turn = structured.choose(Random(number))
        ask, _, source = turn.user.partition("\n\n")
        rows = parsed(source)
        column = list(rows[0])[-1]
        limit = int(re.findall(r"\d+", ask)[0])
        assert column in ask
        wanted = [row for row in rows if int(row[column]) > limit]
        assert not wanted or parsed(turn.assistant) == wanted


def test_columns_rows_and_sums() -> None:
    for number in MANY:
        turn = structured.drop_column(Random(number))
        ask, _, source = turn.user.partition("\n\n")
        gone = re.findall(r"(?:column|without) (\w+):", ask)[0]
        rows = [{k: v for k, v in row.items() if k != gone} for row in parsed(source)]
        assert parsed(turn.assistant) == rows
        turn = structured.add_row(Random(number))
        assert parsed(turn.assistant)[:-1] == parsed(turn.user.partition("\n\n")[2])
        turn = structured.total(Random(number))
        rows = parsed(turn.user.rpartition("\n\n")[0])
        column = list(rows[0])[-1]
        assert turn.assistant.endswith(f"is {sum(int(row[column]) for row in rows)}.")
        turn = structured.look_up(Random(number))
        rows = parsed(turn.user.rpartition("\n\n")[0])
        answer = re.findall(r"So the (\w+) of (\w+) is (\w+)\.", turn.assistant)[0]
        key = next(iter(rows[0]))
        assert [row[answer[0]] for row in rows if row[key] == answer[1]] == [answer[2]]


def unfenced(text: str) -> str:
    return text.partition("```python\n")[2].removesuffix("\n```")


def test_completed_code_is_python() -> None:
    for number in MANY:
        turn = code.turn(Random(number), MATERIAL)
        shown, rest = unfenced(turn.user), unfenced(turn.assistant)
        whole = rest if rest.startswith(shown) else f"{shown}\n{rest}"
        ast.parse(whole)


def test_lists_change_by_what_was_said() -> None:
    for number in MANY:
        turns = dialogue.growing_list(Random(number))
        items = [line[2:] for line in turns[0].assistant.splitlines()[1:]]
        for turn in turns[1:]:
            ask = turn.user.rstrip(".")
            if found := re.fullmatch(r"Add (\w+)", ask):
                items.append(found[1])
            elif found := re.fullmatch(r"Remove (\w+)", ask):
                items.remove(found[1])
            else:
                found = re.fullmatch(r"Put (\w+) in place of (\w+)", ask)
                assert found is not None
                items[items.index(found[2])] = found[1]
            assert [line[2:] for line in turn.assistant.splitlines()[1:]] == items


def test_the_table_of_a_dialogue_is_converted() -> None:
    for number in MANY:
        first, second = dialogue.about_table(Random(number))
        assert parsed(first.user.partition("\n\n")[0]) == parsed(second.assistant)


def test_material_is_gathered_from_documents() -> None:
    prose = Document("prose", "a", "\n\n".join([PARAGRAPHS[0], "Short.", PARAGRAPHS[1]]) + "\n")
    source = "import x\n\nclass A:\n" + "".join(
        f"    {line}\n" for line in FUNCTIONS[1].split("\n")
    )
    material = gather([prose, Document("code", "b", source + "\nX = 1\n")])
    assert material.paragraphs == [(PARAGRAPHS[0], "Short."), (PARAGRAPHS[1], "")]
    assert material.functions == [FUNCTIONS[1]]
    assert sentences(PARAGRAPHS[0])[2].startswith("Mr. Bell said")
    assert dedented("  a\n    b\n") == "a\n  b"


def test_a_prompt_is_the_beginning_of_the_conversation() -> None:
    turns = (Turn("a", "b"), Turn("c", "d"))
    whole = conversation(Example("multi-turn", turns).turns)
    assert prompt(["a", "c"], ["b"]) + "d<|end|>\n" == whole
    assert whole.count("<|start|>") == 4
