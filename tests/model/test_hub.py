"""Hub ids: the local cache first, huggingface_hub where that has nothing."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import specdec
from support.models import config_of, random_weights, write_folder

CONFIG = config_of("llama")
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    return tmp_path


def put_model(cache: Path, reference: str = "main", layers: int = 2) -> Path:
    repository = cache / "models--some-org--a.model"
    (repository / "refs").mkdir(parents=True, exist_ok=True)
    (repository / "refs" / reference).write_text(COMMIT + "\n")
    config = CONFIG | {"num_hidden_layers": layers}
    return write_folder(repository / "snapshots" / COMMIT, config, random_weights(config))


def test_the_cache_is_enough(cache: Path) -> None:
    put_model(cache)
    assert specdec.Model.load("some-org/a.model").num_layers == 2
    assert specdec.Model.load(f"some-org/a.model@{COMMIT}").num_layers == 2


def test_a_model_knows_its_folder(cache: Path) -> None:
    folder = put_model(cache)
    assert specdec.Model.load("some-org/a.model").path == str(folder)
    assert specdec.Model.load(folder).path == str(folder)
    assert specdec.Model.random(CONFIG).path is None


def test_a_revision_is_its_own(cache: Path) -> None:
    put_model(cache, "v1.0")
    assert specdec.Model.load("some-org/a.model@v1.0").num_layers == 2
    with pytest.raises(FileNotFoundError, match="hub cache"):
        specdec.Model.load("some-org/a.model")


@pytest.mark.parametrize(
    ("variable", "below"),
    [("HF_HOME", "hub"), ("XDG_CACHE_HOME", "huggingface/hub"), ("HOME", ".cache/huggingface/hub")],
)
def test_the_cache_is_where_the_hub_has_it(
    variable: str, below: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    put_model(tmp_path / below)
    assert specdec.Model.load("some-org/a.model").num_layers == 2


def test_without_the_hubs_library_the_remedy_is_named(cache: Path) -> None:
    with pytest.raises(FileNotFoundError, match="pip install huggingface_hub"):
        specdec.Model.load("some-org/a.model")


def test_what_the_cache_lacks_is_downloaded(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, dict[str, Any]]] = []

    def snapshot_download(repository: str, **options: Any) -> str:
        asked.append((repository, options))
        return str(put_model(cache / "elsewhere"))

    hub = SimpleNamespace(snapshot_download=snapshot_download)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    assert specdec.Model.load("some-org/a.model@v2").num_layers == 2
    ((repository, options),) = asked
    assert (repository, options["revision"]) == ("some-org/a.model", "v2")
    assert "*.safetensors" in options["allow_patterns"]


def test_errors_of_the_hub_are_its_own(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def snapshot_download(*_: Any, **__: Any) -> str:
        raise ConnectionError("the hub is out of reach")

    hub = SimpleNamespace(snapshot_download=snapshot_download)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    with pytest.raises(ConnectionError, match="out of reach"):
        specdec.Model.load("some-org/a.model")


@pytest.mark.parametrize(
    "name",
    [
        "a", "../a", "a/..", "a/b/c", "a/b@", "a/b@../c", "/a", "a/", "a/.b", "a b/c",
        "a/" + 200 * "b",
    ],
)  # fmt: skip
def test_nothing_else_is_an_id(name: str, cache: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no folder with a model, nor a hub id"):
        specdec.Model.load(name)


def test_a_reference_cannot_lead_out_of_the_cache(cache: Path) -> None:
    folder = put_model(cache)
    (folder.parents[1] / "refs" / "main").write_text("../../../somewhere")
    with pytest.raises(FileNotFoundError, match="hub cache"):
        specdec.Model.load("some-org/a.model")
