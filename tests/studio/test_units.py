"""The studio's pure functions: what is accepted, what an address holds, what a card becomes."""

import base64
import dataclasses
import io
import os
import re
import signal
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import gradio as gr
import pytest
from gradio.route_utils import delete_files_created_by_app
from hypothesis import HealthCheck, example, given
from hypothesis import settings as profile
from hypothesis import strategies as st
from PIL import Image, ImageColor

from ganhub.errors import UserError
from ganhub.models import resnet
from ganhub.pipeline import GANPipeline
from ganhub.studio import app, launch
from ganhub.studio.drawing import file_stem
from ganhub.studio.generate import columns, pack, press, restore, show, single, switch, update
from ganhub.studio.history import NOTHING, move, sheet
from ganhub.studio.history import switch as switch_training
from ganhub.studio.models import (
    MAX_CARD,
    MAX_PICTURES,
    MAX_SUMMARY,
    Model,
    inline_pictures,
    load_models,
    read_card,
    sheets,
    summarise,
)
from ganhub.studio.page import PLAY, guarded, notice
from ganhub.studio.port import choose_port
from ganhub.studio.state import MAX_IMAGES, MAX_SEED, Settings, check, from_address, to_address
from tests.studio.conftest import PATIENCE, SHEETS, connect, serve


@dataclass
class FakePipeline:
    class_names: list[str]


MODELS: dict[str, Any] = {
    "digits": Model("digits", FakePipeline(["zero", "one", "7", "a & b", "eight"]), "", ""),  # type: ignore[arg-type]
    "frogs": Model("frogs", FakePipeline([]), "", ""),  # type: ignore[arg-type]
}
ROOT = Path(__file__).parents[2]
GOOD: dict[str, Any] = {"model": "digits", "label": "", "seed": 0, "num_images": 16, "truncation": 1.0}


@pytest.mark.parametrize(
    ("label", "expected"), [("", None), (None, None), ("zero", 0), ("7", 2), ("4", 4), (3, 3), ("a & b", 3)]
)
def test_a_label_is_a_name_or_a_number_and_a_name_wins(label: Any, expected: int | None) -> None:
    assert check(MODELS, **GOOD | {"label": label}).label == expected


BAD = [
    ("model", "cats"), ("model", None), ("model", ["digits"]), ("model", {"a": 1}), ("model", 0), ("model", ""),
    ("label", "ten"), ("label", "5"), ("label", -1), ("label", 5), ("label", True), ("label", 1.0), ("label", ["zero"]),
    ("label", "1e0"), ("label", {}),
    ("seed", None), ("seed", "1"), ("seed", 1.0), ("seed", 1.5), ("seed", float("nan")), ("seed", float("inf")),
    ("seed", True), ("seed", -1), ("seed", MAX_SEED + 1), ("seed", 10**400), ("seed", [1]), ("seed", {}),
    ("num_images", 0), ("num_images", MAX_IMAGES + 1), ("num_images", 2.5), ("num_images", None), ("num_images", [4]),
    ("num_images", True), ("num_images", "4"),
    ("truncation", -0.1), ("truncation", 2.1), ("truncation", float("nan")), ("truncation", float("inf")),
    ("truncation", None), ("truncation", "1"), ("truncation", True), ("truncation", [1.0]),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value"), BAD)
def test_a_bad_value_is_named_in_one_short_line(key: str, value: Any) -> None:
    with pytest.raises(UserError, match=key) as error:
        check(MODELS, **GOOD | {key: value})
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 250


def test_messages_hold_no_flood() -> None:
    with pytest.raises(UserError) as error:
        check(MODELS, **GOOD | {"model": "<b>" * 100_000})
    assert len(str(error.value)) < 200


HOSTILE: dict[str, Any] = {"<i>m": Model("<i>m", FakePipeline(["<img src=x>"]), "", "")}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("bad", "shown"),
    [
        ({"model": "<b>cats"}, "model must be one of &lt;i&gt;m, got '&lt;b&gt;cats'"),
        (
            {"model": "<i>m", "label": "<u>"},
            "a class, 0 or &lt;img src=x&gt;; got '&lt;u&gt;'; leave it empty for every class",
        ),
    ],
)
def test_messages_hold_no_markup_of_visitors_or_models(
    bad: dict[str, str], shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(gr.Error) as error:
        guarded(lambda: check(HOSTILE, **GOOD | bad), "check")()
    assert shown in error.value.message
    assert "<" not in error.value.message
    warnings: list[str] = []
    monkeypatch.setattr(gr, "Warning", warnings.append)
    notice(from_address(HOSTILE, bad)[1])
    assert shown in warnings[0]
    assert "<" not in warnings[0].replace("<br>", "")


def test_classes_of_a_model_without_classes_are_refused() -> None:
    with pytest.raises(UserError, match="frogs has no classes"):
        check(MODELS, **GOOD | {"model": "frogs", "label": "zero"})


unhurried = profile(deadline=None, suppress_health_check=[HealthCheck.too_slow])
values_of_digits = st.fixed_dictionaries(
    {
        "model": st.just("digits"),
        "label": st.none() | st.integers(0, 4),
        "seed": st.integers(0, MAX_SEED - MAX_IMAGES + 1),
        "num_images": st.integers(1, MAX_IMAGES),
        "truncation": st.floats(0, 2),
    }
)


@unhurried
@given(values_of_digits)
@example(GOOD | {"truncation": 0.1234567})
@example(GOOD | {"truncation": 1e-5})
def test_an_address_brings_its_settings_back(values: dict[str, Any]) -> None:
    settings = check(MODELS, **values)
    assert abs(settings.truncation - values["truncation"]) <= 0.005 + 1e-9
    query = dict(parse_qsl(to_address(MODELS["digits"], settings).removeprefix("?")))
    assert from_address(MODELS, query) == (settings, [])


@unhurried
@given(st.dictionaries(st.sampled_from(["model", "label", "seed", "n", "truncation", "x"]), st.text(max_size=30)))
def test_no_address_is_an_error(query: dict[str, str]) -> None:
    settings, _ = from_address(MODELS, query)
    label = "" if settings.label is None else settings.label
    assert check(MODELS, settings.model, label, settings.seed, settings.num_images, settings.truncation) == settings


def test_each_bad_part_of_an_address_falls_back_alone() -> None:
    query = {"model": "digits", "label": "ten", "seed": "42", "n": "1e3", "truncation": "nan"}
    settings, problems = from_address(MODELS, query)
    assert settings == Settings("digits", seed=42)
    assert [problem.split(" must")[0] for problem in problems] == ["a label", "pictures (num_images, n)", "truncation"]


@pytest.mark.parametrize(
    ("query", "truncation"),
    [
        ({}, 0.7),
        ({"model": "faces"}, 0.7),
        ({"model": "faces", "truncation": "far"}, 0.7),
        ({"model": "faces", "seed": "abc"}, 0.7),
        ({"model": "faces", "seed": "3"}, 1.0),  # a link to pictures: they stay what they are
        ({"model": "faces", "seed": "3", "truncation": "0.5"}, 0.5),
        ({"model": "frogs"}, 1.0),
    ],
)
def test_a_model_may_have_a_truncation_to_begin_with(query: dict[str, str], truncation: float) -> None:
    faces = Model("faces", FakePipeline([]), "", "", truncation=0.7)  # type: ignore[arg-type]
    assert from_address({"faces": faces, **MODELS}, query)[0].truncation == truncation


def test_a_plain_address_is_short() -> None:
    assert to_address(MODELS["digits"], Settings("digits", 2, 42)) == "?model=digits&label=7&seed=42"


@pytest.mark.parametrize(
    ("card", "summary"),
    [
        ("# Title\n\nIt draws. More.", "It draws."),
        ("# Title\nIt draws 1.5 frogs. More.", "It draws 1.5 frogs."),
        ("# T\n\n![x](y.png)\n\n> quote\n\n- item\n\n| a |\n\nA **bold** text", "A bold text"),
        ("# T\n\nA [link](https://a.b) and `code`.", "A link and code."),
        ("# T\n\nsnake_case_name stays.", "snake_case_name stays."),
        ("", ""),
        ("# Only a title", ""),
    ],
)
def test_a_summary_is_the_first_sentence_of_prose(card: str, summary: str) -> None:
    assert summarise(card) == summary


def test_a_long_summary_is_cut_at_a_word() -> None:
    summary = summarise("# T\n\n" + "frogs " * 100)
    assert summary.endswith("frogs…")
    assert len(summary) <= MAX_SUMMARY


def test_a_card_shows_its_own_pictures_and_no_others(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for file in (folder / "samples.png", tmp_path / "secret.png"):
        Image.new("L", (2, 2)).save(file)
    card = inline_pictures(
        "![own](samples.png) ![away](https://example.com/a.png) ![up](../secret.png) ![gone](no.png)\n"
        "![angled](<samples.png>)\n"
        '<img src="https://example.com/b.png"> `<kept>`',
        folder,
    )
    assert card.count("![") == card.count("](data:image/png;base64,") == 2
    assert "*away* *up* *gone*" in card
    assert "example.com/a.png" not in card
    assert "<img" not in card
    assert "`<kept>`" in card


def test_a_large_picture_of_a_card_is_compressed(tmp_path: Path) -> None:
    Image.effect_noise((400, 400), 50).save(tmp_path / "samples.png")
    card = inline_pictures("![own](samples.png)", tmp_path)
    kind, data = re.fullmatch(r"!\[own\]\(data:image/(\w+);base64,(.*)\)", card).groups()  # type: ignore[union-attr]
    shown = Image.open(io.BytesIO(base64.b64decode(data)))
    assert (kind, shown.size) == ("webp", (400, 400))
    assert len(data) < (tmp_path / "samples.png").stat().st_size


def test_a_card_is_read_and_illustrated_up_to_a_limit(tmp_path: Path) -> None:
    Image.new("L", (2, 2)).save(tmp_path / "samples.png")
    (tmp_path / "README.md").write_text("![own](samples.png)\n" * (MAX_PICTURES + 2) + "x" * 300_000)
    card = read_card(tmp_path / "README.md")
    assert len(card) == MAX_CARD
    shown = inline_pictures(card, tmp_path)
    assert shown.count("data:image/png;base64,") == MAX_PICTURES
    assert shown.count("*own*") == 2


@pytest.mark.parametrize("piece", ["[a", "![", "![](", "![](a", "[a](", "*a ", "`", "\n ", "<"])
def test_no_card_keeps_the_studio_busy(piece: str, tmp_path: Path) -> None:
    """What is quadratic takes a minute to hours here; what is not, a second or two."""

    def give_up(*_: Any) -> None:
        raise TimeoutError("a regular expression backtracks")

    previous = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(PATIENCE // 2)
    try:
        card = "a " + piece * (MAX_CARD // len(piece))
        summarise(card)
        inline_pictures(card, tmp_path)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


def test_file_names_say_how_to_make_the_picture_again() -> None:
    assert file_stem("digits", "7", 42, 1.0) == "digits_7_seed42"
    assert file_stem("user/frogs", "", 3, 0.5) == "user-frogs_seed3_t0.5"
    assert file_stem("digits", "../../etc", 1, 1.0) == "digits_etc_seed1"
    assert len(file_stem("用" * 100, "की" * 50, 2**31, 0.55).encode()) < 250


def test_the_grid_is_square_and_never_wider_than_a_thumb_can_hit() -> None:
    assert [columns(count) for count in (1, 2, 4, 5, 16, 17, 64)] == [1, 2, 2, 3, 4, 5, 8]


def test_an_unexpected_error_is_logged_and_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> None:
        raise RuntimeError("/home/someone/secret")

    with pytest.raises(Exception, match="went wrong on our side") as error:
        guarded(broken, "broken")()
    assert "secret" not in str(error.value)
    assert "secret" in caplog.text


def test_no_model_twice_and_not_none(model_folders: dict[str, Path]) -> None:
    with pytest.raises(UserError, match="no models to show: the zoo is empty"):
        load_models([])
    with pytest.raises(UserError, match="two models are called frogs"):
        load_models([str(model_folders["frogs"])] * 2)
    with pytest.raises(UserError, match="no such model"):
        load_models(["no such model"])


def test_a_space_shows_the_models_that_are_left(
    model_folders: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    assert list(load_models(["no such model", str(model_folders["frogs"])], lenient=True)) == ["frogs"]
    assert "left out: no such model: no such model; known: digits" in caplog.text
    with pytest.raises(UserError, match="none of them can be loaded, see the log"):
        load_models(["no such model"], lenient=True)


def test_a_model_goes_by_its_folder_s_name_with_a_sentence_from_its_card(model_folders: dict[str, Path]) -> None:
    model = load_models([str(model_folders["digits"])])["digits"]
    assert model.summary == "Handwritten digits in ten classes, for tests."
    assert "license" not in model.card
    assert "data:image/png;base64," in model.card


def test_a_model_without_a_card_is_described_by_its_config(model_folders: dict[str, Path], tmp_path: Path) -> None:
    import shutil

    folder = shutil.copytree(model_folders["digits"], tmp_path / "bare")
    (folder / "README.md").unlink()
    model = load_models([str(folder)])["bare"]
    assert model.summary == model.card == "Draws greyscale pictures of 32x32 pixels in 10 classes."


@pytest.fixture(scope="module")
def loaded(model_folders: dict[str, Path]) -> dict[str, Model]:
    return load_models([str(folder) for folder in model_folders.values()])


def test_another_model_keeps_a_class_that_it_knows_and_mends_the_rest(loaded: dict[str, Model]) -> None:
    label, *others, _, _, address = switch(loaded, "digits", "two", 5, 4, 0.5, "?model=frogs")
    assert (label["value"], others) == ("two", [gr.skip()] * 3)
    assert address == "?model=digits&label=two&seed=5&n=4&truncation=0.5"
    label, *others, _, _, address = switch(loaded, "frogs", "two", None, 4, "x", address)
    assert (label["value"], label["visible"], others) == ("", False, [0, gr.skip(), 1.0])
    assert address == "?model=frogs&seed=0&n=4"
    label, *_, address = switch(loaded, "digits", "2", 5, 4, 1.0, address)  # a class called 2 isn't the third of these
    assert label["value"] == "" and "label" not in address


def test_another_model_begins_with_its_own_truncation_unless_somebody_moved_it(
    loaded: dict[str, Model], tmp_path: Path
) -> None:
    generator = resnet.Generator(resolution=16, latent_dim=8, width=4, mapping=1)
    GANPipeline(generator).save_pretrained(tmp_path / "styled")
    models = loaded | load_models([str(tmp_path / "styled")])
    for before, name, value, shown in (
        ("frogs", "styled", 1.0, 0.7),
        ("frogs", "styled", 0.5, 0.5),
        ("frogs", "digits", 0.7, 0.7),
        ("styled", "frogs", 0.7, 1.0),
        ("styled", "frogs", 0.65, 0.65),
        ("frogs", "styled", "far", 0.7),
        ("styled", "frogs", 2**40, 1.0),
    ):
        _, seed, count, truncation, *_, address = switch(models, name, "", 5, 1, value, f"?model={before}&seed=1")
        assert (seed, count, truncation) == (gr.skip(), gr.skip(), gr.skip() if value == shown else shown)
        assert from_address(models, dict(parse_qsl(address.lstrip("?"))))[0].truncation == shown
        if value in (0.5, 0.65, 0.7, 1.0):  # pressed before the controls show the change
            *_, pressed = press(models, name, "", 5, 1, value, f"?model={before}&seed=1")
            assert pressed == address


FROGS = "?model=frogs&seed=1"


def test_half_typed_numbers_wait_or_stop_at_the_end(loaded: dict[str, Model]) -> None:
    for count, truncation, shown in (
        (100, 1.0, "&n=64"),
        (0, 1.0, "&n=1"),
        (4.9, 1.0, "&n=5"),
        (16, 9, "&truncation=2"),
    ):
        *_, address = update(loaded, "frogs", "", 5, count, truncation, FROGS)
        assert address == f"?model=frogs&seed=5{shown}"
    for seed, count, truncation in ((None, 16, 1.0), (5, None, 1.0), (5, 16, None)):
        assert update(loaded, "frogs", "", seed, count, truncation, FROGS) == gr.skip()
        with pytest.raises(UserError, match="got nothing"):
            press(loaded, "frogs", "", seed, count, truncation, FROGS)
    assert press(loaded, "frogs", "", 5, 10**400, 1.0, FROGS)[-1] == "?model=frogs&seed=5&n=64"
    for nonsense in ("x", float("nan"), [1]):
        with pytest.raises(UserError, match="pictures .* must be a whole number from 1 to 64, got "):
            update(loaded, "frogs", "", 5, nonsense, 1.0, FROGS)


def test_a_class_of_the_model_before_is_no_error_while_another_comes(loaded: dict[str, Model]) -> None:
    *_, address = update(loaded, "frogs", "seven", 5, 1, 1.0, "?model=digits&label=seven&seed=1")
    assert address == "?model=frogs&seed=5&n=1"


def test_every_picture_can_be_asked_for_by_its_own_seed(loaded: dict[str, Model]) -> None:
    assert check(loaded, "frogs", "", MAX_SEED, 1, 1.0).seed == MAX_SEED
    with pytest.raises(
        UserError, match=rf"seed must be a whole number from 0 to {MAX_SEED - 1} \(for 2 pictures\), got {MAX_SEED}"
    ):
        check(loaded, "frogs", "", MAX_SEED, 2, 1.0)
    settings, problems = from_address(loaded, {"model": "frogs", "seed": str(MAX_SEED), "n": "2"})
    assert (settings.seed, settings.num_images, len(problems)) == (0, 2, 1)


def test_an_address_without_settings_leaves_the_page_as_it_was_built(loaded: dict[str, Model]) -> None:
    assert restore(loaded, {"__theme": "dark"}) == gr.skip()
    assert restore(loaded, {"n": "4"})[3] == 4


def test_one_of_the_pictures_has_an_address_of_its_own(loaded: dict[str, Model]) -> None:
    shown = "?model=digits&seed=5&n=16&truncation=0.5"
    one, tab = single(loaded, shown, 12)
    assert one.startswith("?model=digits&label=two&seed=17&n=1&truncation=0.5&at=") and tab == gr.update(selected=PLAY)
    assert single(loaded, shown, 12)[0] != one  # or nothing would happen when it is taken again
    assert single(loaded, "?model=digits&label=7&seed=5", 1)[0].startswith("?model=digits&label=7&seed=6&n=1&")
    for address, index in (
        ("?model=frogs&seed=5", 1),
        ("?model=frogs&seed=5&n=2", 9),
    ):  # the gallery shows the last then
        assert single(loaded, address, index)[0].startswith("?model=frogs&seed=6&n=1&")
    for index in (-1, None, "1"):
        with pytest.raises(UserError, match="open a picture first"):
            single(loaded, "?model=frogs&seed=5", index)


def test_nothing_is_packed_before_something_is_shown(loaded: dict[str, Model]) -> None:
    with pytest.raises(UserError, match="wait for the pictures"):
        pack(loaded, "")


def test_seeds_and_classes_change_the_pixels(loaded: dict[str, Model]) -> None:
    def pixels(*values: Any) -> bytes:
        gallery, _, _ = show(loaded, *values)
        return Path(gallery["value"][0][0]).read_bytes()

    one = pixels("digits", "two", 5, 1, 1.0)
    assert one == pixels("digits", "two", 5, 9, 1.0)
    others = [pixels("digits", "two", 6, 1, 1.0), pixels("digits", "7", 5, 1, 1.0), pixels("digits", "two", 5, 1, 0.5)]
    assert len({one, *others}) == 4


@pytest.mark.parametrize(("truncation", "name"), [(0.1234567, "_t0.12"), (1e-5, "_t0"), (0.999, "")])
def test_the_zip_holds_what_is_shown(loaded: dict[str, Model], truncation: float, name: str) -> None:
    gallery, _, address = show(loaded, "frogs", "", 5, 2, truncation)
    shown = {Path(path).name: Path(path).read_bytes() for path, _ in gallery["value"]}
    with zipfile.ZipFile(pack(loaded, address)) as archive:
        assert {file: archive.read(file) for file in archive.namelist()} == shown
    assert list(shown) == [f"frogs_seed5{name}.png", f"frogs_seed6{name}.png"]


def test_a_moment_of_the_training_is_its_sheet_with_crisp_pixels(loaded: dict[str, Model]) -> None:
    for moment, (images, colour) in enumerate(SHEETS.items()):
        picture, line = sheet(loaded, "digits", moment)
        assert (
            picture and picture.size == (960, 480) and picture.getcolors() == [(960 * 480, ImageColor.getrgb(colour))]
        )
        assert f"{images:,}" in line
    assert sheet(loaded, "frogs", 0) == (None, NOTHING)


@pytest.mark.parametrize("moment", [3, -1, 1.0, True, None, "1", [0]])
def test_a_moment_that_is_none_is_one_line(loaded: dict[str, Model], moment: Any) -> None:
    with pytest.raises(UserError, match="the stage must be a whole number from 0 to 2"):
        sheet(loaded, "digits", moment)


def test_a_stage_that_is_being_typed_waits_or_stops_at_the_end(loaded: dict[str, Model]) -> None:
    assert move(loaded, "digits", None) == gr.skip()
    assert move(loaded, "digits", 10)[1] == move(loaded, "digits", 2)[1]
    assert move(loaded, "digits", -1)[1] == move(loaded, "digits", 0)[1]


def test_only_sheets_are_taken_for_sheets(tmp_path: Path) -> None:
    folder = tmp_path / "snapshots"
    (folder / "000000009").mkdir(parents=True)
    for name in ("000000010.png", "10.png", "x.png", "000000009.txt"):
        Image.new("L", (8, 8)).save(folder / name, format="PNG")
    Image.new("L", (1, 60_000)).save(folder / "000000011.png")
    Image.new("L", (8, 8)).save(folder / "000000012.png", format="GIF")
    (folder / "000000013.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    (folder / "000000014.png").write_bytes(b"")
    assert sheets(tmp_path) == ((10, folder / "000000010.png"),)


def test_a_sheet_that_is_cut_short_is_said_and_stops_nothing(loaded: dict[str, Model], tmp_path: Path) -> None:
    file = tmp_path / "000000010.png"
    Image.effect_noise((64, 64), 50).save(file)
    file.write_bytes(file.read_bytes()[:900])
    broken = loaded | {"digits": dataclasses.replace(loaded["digits"], history=((10, file),))}
    said = "This picture of the training can't be read."
    assert sheet(broken, "digits", 0) == (None, said)
    shown, line = move(broken, "digits", 0)
    assert (shown["value"], shown["visible"], line) == (None, False, said)


def test_a_model_without_sheets_shows_its_curves(loaded: dict[str, Model], tmp_path: Path) -> None:
    Image.new("RGB", (1000, 400), "red").save(tmp_path / "curves.png")
    with_curves = {"frogs": dataclasses.replace(loaded["frogs"], curves=tmp_path / "curves.png")}
    picture, line = sheet(with_curves, "frogs", 0)
    assert picture and picture.size == (1000, 400) and line == NOTHING
    *_, shown, _ = switch_training(with_curves, "frogs")
    assert shown["visible"] and shown["alt_text"] == "Curves of its losses"


def test_the_training_tab_shows_a_model_what_it_has(loaded: dict[str, Model]) -> None:
    intro, slider, image, line = switch_training(loaded, "digits")
    assert intro["visible"] and slider["visible"] and image["visible"] and image["value"].size == (960, 480)
    assert (slider["value"], slider["maximum"], line) == (2, 2, sheet(loaded, "digits", 2)[1])
    intro, slider, image, line = switch_training(loaded, "frogs")
    assert not (intro["visible"] or slider["visible"] or image["visible"]) and line == NOTHING


def test_the_port_is_the_given_one_or_the_environment_s_or_7860(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRADIO_SERVER_PORT", raising=False)
    assert choose_port() == choose_port(None) == 7860
    monkeypatch.setenv("GRADIO_SERVER_PORT", "8001")
    assert (choose_port(), choose_port(8002)) == (8001, 8002)


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_that_is_none_is_one_clear_line(port: int, model_folders: dict[str, Path]) -> None:
    with pytest.raises(UserError, match=f"port must be a whole number from 1 to 65535, got '{port}'"):
        launch([str(model_folders["frogs"])], port=port, block=False)


def test_a_port_of_nonsense_in_the_environment_is_one_clear_line() -> None:
    """In a new process, since gradio reads it too, when it is imported."""
    code = "from ganhub.errors import UserError\ntry:\n import ganhub.studio\nexcept UserError as e: print(e)"
    environment = os.environ | {"GRADIO_SERVER_PORT": "abc"}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert run.stdout == "GRADIO_SERVER_PORT must be a whole number from 1 to 65535, got 'abc'\n"
    assert "Traceback" not in run.stderr
    run = subprocess.run([sys.executable, ROOT / "app.py"], env=environment, capture_output=True, text=True)
    assert run.returncode == 1
    assert run.stderr == "ganhub: GRADIO_SERVER_PORT must be a whole number from 1 to 65535, got 'abc'\n"


def test_a_taken_port_is_one_clear_line(studio: str, model_folders: dict[str, Path]) -> None:
    port = int(studio.rstrip("/").rsplit(":", 1)[1])
    with pytest.raises(UserError, match=f"port {port} of 127.0.0.1 is taken .* --port"):
        launch([str(model_folders["frogs"])], port=port, block=False)


def test_files_are_cleaned_up(model_folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(cache))
    with serve([str(model_folders["frogs"])]) as blocks:
        first = sorted(cache.rglob("*.png"))  # what the page begins with
        client = connect(blocks.local_url, tmp_path / "downloads")
        client.predict(num_images=2, seed=55, api_name="/generate")
        client.close()
        assert {file.name for file in {*cache.rglob("*.png")} - {*first}} == {"frogs_seed55.png", "frogs_seed56.png"}
        assert blocks.delete_cache == (app.HOUR, app.HOUR)
        delete_files_created_by_app(blocks, None)
        assert sorted(cache.rglob("*.png")) == first and len(first) == 16


@pytest.mark.parametrize("target", ["a\x00b.png", "x" * 300 + ".png", "../samples.png", "/etc/passwd"])
def test_a_card_that_points_nowhere_loads(target: str, tmp_path: Path) -> None:
    assert inline_pictures(f"![alt]({target})", tmp_path) == "*alt*"
