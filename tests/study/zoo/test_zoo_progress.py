"""The log survives a stop, and the plot is an image of it."""

from pathlib import Path
from xml.etree import ElementTree

from specdec_study.zoo.progress import Progress, clock, forget_after, plot, read_log, smoothed


def write(log: Path, steps: int) -> None:
    progress = Progress(log, steps)
    for step in range(steps):
        held_out = {"held_out": 4.0 - step / 50} if step % 10 == 9 else {}
        progress.record(step, loss=5.0 - step / 50, **held_out)


def test_steps_that_are_done_again_are_logged_once(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    forget_after(log, 0)
    write(log, 30)
    forget_after(log, 20)
    assert [entry["step"] for entry in read_log(log)] == list(range(20))


def test_the_plot_has_a_line_for_each_loss(tmp_path: Path) -> None:
    write(tmp_path / "log.jsonl", 100)
    plot(tmp_path / "log.jsonl", tmp_path / "loss.svg", "a model")
    root = ElementTree.parse(tmp_path / "loss.svg").getroot()
    lines = root.findall("{http://www.w3.org/2000/svg}polyline")
    assert [len(line.attrib["points"].split()) for line in lines] == [5, 10]
    heights = [float(p.split(",")[1]) for p in lines[1].attrib["points"].split()]
    assert heights == sorted(heights)


def test_a_plot_of_nothing_is_not_written(tmp_path: Path) -> None:
    plot(tmp_path / "log.jsonl", tmp_path / "loss.svg", "a model")
    assert not (tmp_path / "loss.svg").exists()


def test_small_helpers() -> None:
    assert clock(3 * 3600 + 62) == "3:01:02"
    assert smoothed([(0, 1.0), (1, 3.0), (2, 5.0)], over=2) == [(1, 2.0), (2, 5.0)]
