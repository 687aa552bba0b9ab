"""A detector finds what was drawn, where it was drawn, and nothing where nothing is."""

import sys
from types import SimpleNamespace

import pytest
from PIL import Image

from ganhub import UserError
from tests.training.drawings import draw_cartoon, draw_face, noise
from training import detectors
from training.detectors import find_detector


def test_the_frontal_detector_finds_a_face_and_nothing_else():
    find = find_detector("frontal").find
    assert find(draw_face()) == pytest.approx((30, 20, 90, 80), abs=8)
    large = draw_face((1600, 1200), (900, 300, 1400, 800))  # shrunk before the search
    assert find(large) == pytest.approx((900, 300, 1400, 800), abs=60)
    assert find(noise((160, 120))) is None and find(draw_cartoon()) is None


def test_the_saliency_detector_finds_a_cartoon_and_nothing_on_a_plain_wall():
    find = find_detector("saliency").find
    for middle in ((110, 50), (50, 70)):
        left, top, right, bottom = find(draw_cartoon(middle=middle))
        assert ((left + right) / 2, (top + bottom) / 2) == pytest.approx(middle, abs=15)
        assert 30 < right - left < 90 and right - left == pytest.approx(bottom - top)
    assert find(Image.new("RGB", (60, 40), "teal")) is None
    assert find(noise((500, 3))) is not None


def test_saliency_prefers_the_middle_and_is_not_drawn_to_the_edges(monkeypatch):
    find = find_detector("saliency").find
    for near, far in ((190, 60), (130, 260)):
        picture = draw_cartoon((320, 120), (near, 60))
        figure = draw_cartoon((320, 120), (far, 60)).crop((far - 26, 34, far + 27, 87))
        picture.paste(figure, (far - 26, 34))
        left, _, right, _ = find(picture)
        assert (left + right) / 2 == pytest.approx(near, abs=15)
    monkeypatch.setattr(detectors, "CENTRED", 0.0)
    for seed in range(3):  # nothing stands out, and a Fourier transform sees a step at the edges
        left, top, right, bottom = find(noise((64, 64), seed))
        assert left < 20 and top < 20 and right > 44 and bottom > 44


def test_a_cascade_of_the_users(tmp_path):
    import cv2

    file = f"{cv2.data.haarcascades}haarcascade_frontalface_default.xml"
    assert find_detector(f"cascade:{file}").find(draw_face()) == pytest.approx((30, 20, 90, 80), abs=8)
    assert find_detector(f"cascade:{file}").miss == "nothing found by cascade:haarcascade_frontalface_default.xml"
    (tmp_path / "no.xml").write_text("<a/>")
    (tmp_path / "empty.xml").write_text("")
    for name, words in (("no.xml", "not a cascade"), ("empty.xml", "not a cascade"), ("gone.xml", "no such cascade")):
        with pytest.raises(UserError, match=words):
            find_detector(f"cascade:{tmp_path / name}")


def test_a_cascade_slides_over_a_small_copy(monkeypatch):
    cascade, seen = find_detector("frontal").find, []

    def search(pixels, **options):
        seen.append(pixels.shape)
        return [(10, 20, 30, 40), (1, 1, 2, 2)]

    cascade.own.cascade = SimpleNamespace(detectMultiScale=search)
    assert cascade(Image.new("RGB", (2560, 1280))) == (40, 80, 160, 240)
    assert cascade(Image.new("RGB", (100, 60))) == (10, 20, 40, 60)
    assert seen == [(320, 640), (60, 100)]


def test_missing_or_too_new_opencv_is_one_line(monkeypatch):
    import cv2

    monkeypatch.delattr(cv2, "CascadeClassifier")
    with pytest.raises(UserError, match=r"has no cascades any more, OpenCV 4 has; pip install ganhub\[prepare\]"):
        find_detector("frontal")
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(UserError, match=r"needs OpenCV; pip install ganhub\[prepare\], or take --detector saliency"):
        find_detector("frontal")
    assert find_detector("saliency").find(draw_cartoon())
