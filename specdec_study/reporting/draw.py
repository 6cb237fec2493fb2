"""Figures as files, and as SVG that is part of a page and takes its colours and font."""

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import matplotlib as mpl
from matplotlib.figure import Figure

from specdec_study.replace import replace_file
from specdec_study.reporting.figures import PLOTS, Plot
from specdec_study.reporting.ranking import Row

STYLE = Path(__file__).parent / "style.mplstyle"
# Without dates, the same runs give the same bytes.
UNDATED = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}
INK = {"#22262e": "currentColor", "#a9adb8": "var(--line)"}
FONT = ("font-family", "font-weight")


def save(figure: Figure, file: io.BytesIO | io.StringIO, form: str) -> None:
    with warnings.catch_warnings():
        # A name may hold characters that no font of this machine has: boxes, and nothing worse.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        figure.savefig(file, format=form, metadata=UNDATED[form], transparent=form == "svg")


def save_plots(rows: Sequence[Row], folder: Path, formats: Sequence[str]) -> list[Path]:
    """All figures that have data, in every format."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with mpl.rc_context(fname=STYLE):
        for plot in PLOTS:
            figure = plot.draw(rows)
            for form in formats if figure is not None else ():
                assert figure is not None
                written.append(folder / f"{plot.name}.{form}")
                file = io.BytesIO()
                save(figure, file, form)
                replace_file(written[-1], file.getvalue())
    return written


def inline_svg(plot: Plot, rows: Sequence[Row]) -> str | None:
    with mpl.rc_context(fname=STYLE):
        figure = plot.draw(rows)
        if figure is None:
            return None
        file = io.StringIO()
        save(figure, file, "svg")
    return for_page(file.getvalue(), plot.title)


def for_page(svg: str, title: str) -> str:
    """Style attributes become plain ones, as the page's policy forbids styles inside of markup."""
    root = ET.fromstring(svg)
    for parent in root.iter():
        for child in list(parent):
            if local(child.tag) in ("metadata", "style"):
                parent.remove(child)
    for element in root.iter():
        element.tag = local(element.tag)
        plain = {local(key): value for key, value in element.attrib.items()}
        element.attrib.clear()
        element.attrib.update(attributes(element.tag, plain))
    for size in ("width", "height"):
        root.attrib.pop(size)
    root.attrib |= {"role": "img", "aria-label": title}
    return ET.tostring(root, encoding="unicode")


def local(name: str) -> str:
    """Without its namespace: within HTML, svg is known."""
    return name.rpartition("}")[2]


def attributes(tag: str, plain: dict[str, str]) -> dict[str, str]:
    """References go by id, which only paths and clips have; groups would have equal ones."""
    if tag == "g":
        plain.pop("id", None)
    declared = dict(part.split(":", 1) for part in plain.pop("style", "").split(";") if part)
    for key, value in declared.items():
        if key.strip() not in FONT:
            plain[key.strip()] = value.strip()
    if tag == "text":
        plain.setdefault("fill", "currentColor")
    return {key: INK.get(value, value) for key, value in plain.items()}
