"""The report in a real browser: it works by mouse and by keyboard, offline, and nothing in it runs
but its own script."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.hostile import HOSTILE
from support.study_runs import TREE, Making, make_record, make_study, words, write_run

from specdec_study.reporting.page import build_report
from specdec_study.reporting.runs import load

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with playwright.sync_playwright() as p:
        started = p.chromium.launch(executable_path=CHROMIUM, args=options)
        yield started
        started.close()


class Visit:
    """A page that is open, and everything that it complained about or asked for."""

    def __init__(self, browser: Any, path: Path, **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())

    def current(self) -> str:
        return str(self.page.locator("#round").inner_text())


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    make_study(folder / "runs")
    path = folder / "report.html"
    page = build_report(load([folder / "runs"]), lambda _run: words)
    path.write_text(page, encoding="utf-8")
    return path


def test_the_page_opens_offline_without_a_word(browser: Any, page_file: Path) -> None:
    visit = Visit(browser, page_file, offline=True)
    assert visit.complaints == []
    assert visit.requests == [page_file.as_uri()]
    assert visit.page.locator("figure svg").count() >= 5
    assert visit.page.locator("tbody tr").count() >= 3


def test_a_token_shows_its_round(browser: Any, page_file: Path) -> None:
    visit = Visit(browser, page_file)
    tokens = visit.page.locator("#answer .token")
    last = tokens.nth(tokens.count() - 1)
    last.click()
    number = int(last.get_attribute("data-round")) + 1
    assert visit.current().find(f"Round {number} of {number}:") >= 0
    visit.page.select_option("#run", label="tree")
    visit.page.locator("#answer .token.a").first.click()
    assert visit.page.locator("#round svg rect.accepted").count() >= 1
    assert visit.page.locator("#round svg rect.root").count() == 1
    assert visit.complaints == []


def test_the_keyboard_is_enough(browser: Any, page_file: Path) -> None:
    visit = Visit(browser, page_file)
    visit.page.locator("#answer").focus()
    visit.page.keyboard.press("ArrowRight")
    visit.page.keyboard.press("ArrowRight")
    assert "Round 3 of" in visit.current()
    visit.page.keyboard.press("ArrowLeft")
    assert "Round 2 of" in visit.current()
    for _ in range(5):
        visit.page.keyboard.press("ArrowUp")
    assert "Round 1 of" in visit.current()


def test_runs_and_requests_can_be_chosen(browser: Any, page_file: Path) -> None:
    visit = Visit(browser, page_file)
    visit.page.select_option("#run", label="plain")
    assert visit.page.locator("#answer .token.p").count() == 40
    visit.page.select_option("#request", index=2)
    assert visit.page.locator("#prompt").inner_text() == "Prompt number 2?"


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_the_window(browser: Any, page_file: Path, width: int, scheme: str) -> None:
    size = {"width": width, "height": 800}
    visit = Visit(browser, page_file, viewport=size, color_scheme=scheme)
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    ink, paper = visit.page.evaluate(
        "(s => [s.color, s.backgroundColor])(getComputedStyle(document.body))"
    )
    assert ink != paper


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_does_nothing(browser: Any, text: str, tmp_path: Path) -> None:
    record = make_record(0, Making(TREE, width=3), 12, True, 0)
    hostile = replace(record, prompt=text, response=text, sample_id=text[:80], category=text[:80])
    folder = write_run(tmp_path / "run", [hostile], TREE)
    path = tmp_path / "page.html"
    path.write_text(build_report(load([folder]), lambda _r: lambda ids: [text for _ in ids]))
    visit = Visit(browser, path)
    visit.page.locator("#answer .token").first.click()
    assert visit.complaints == []
    assert visit.page.title() != "owned"
    assert visit.page.locator("#answer img, #answer script, #round img").count() == 0


def test_a_script_that_gets_in_is_not_run(browser: Any, page_file: Path, tmp_path: Path) -> None:
    """The policy is the second wall: planted markup is refused by the browser."""
    text = page_file.read_text(encoding="utf-8")
    path = tmp_path / "planted.html"
    planted = text.replace("</main>", "<script>document.title='owned'</script></main>")
    path.write_text(planted, encoding="utf-8")
    visit = Visit(browser, path)
    assert visit.page.title() != "owned"
    assert any("Content Security Policy" in complaint for complaint in visit.complaints)
