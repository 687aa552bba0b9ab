"""The model card: whole or named as unfilled, the same for the same files, and readable by the Hub's own client."""

import dataclasses
import json
import shutil

import pytest
from huggingface_hub import ModelCard
from PIL import Image

from ganhub import UserError
from ganhub.card import UNSAID, Facts, read_facts, rename, save_facts, unfilled, write_card
from ganhub.card.check import weights_sha256
from tests.conftest import tiny_pipeline
from training.recipe import Recipe

FACTS = Facts(
    name="tiny",
    summary="Squares.",
    license="mit",
    data="squares by nobody.",
    data_terms="free.",
    limits="Squares only.",
    bias="No circles.",
    command="python -m training train tiny --data squares --run-dir runs/tiny",
    kimg=2.0,
    minutes=60.0,
    hardware="4 CPU cores (2 used)",
    versions="ganhub 0",
    unit="CPU core",
    units=2,
    watts=10.0,
    watts_source="assumed",
)
PROTOCOL = {
    "extractor": "lens",
    "samples": 100,
    "seed": 0,
    "truncation": 1.0,
    "reference": {"data": "squares", "split": "test", "count": 50, "trained_on": False},
}
MEASURED = {
    "protocol": PROTOCOL,
    "notes": [],
    "kid": 0.125,
    "kid_stderr": 0.01,
    "swd": 3.5,
    "conditional_accuracy": 0.75,
    "conditional_accuracy_per_class": {"zero": 0.5, "one": 0.75, "two": 1.0},
    "memorisation": {
        "space": "pixels",
        "held_back": "the reference",
        "generated_to_train_median": 1.0,
        "held_back_to_train_median": 1.0,
        "ratio": 1.0,
        "too_close": 0.01,
    },
}


def write_metrics(folder, **changes):
    (folder / "metrics.json").write_text(json.dumps({**MEASURED, **changes}))
    write_card(folder)


def keep_snapshot(folder):
    (folder / "snapshots" / "000001000").mkdir(parents=True)
    (folder / "snapshots" / "000001000" / "model_index.json").write_text("{}")
    (folder / "snapshots" / "2000").mkdir()  # what loading wouldn't find


def change(folder, **facts) -> str:
    """The card after that change."""
    save_facts(dataclasses.replace(read_facts(folder), **facts), folder)
    write_card(folder)
    return (folder / "README.md").read_text()


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp("card") / "tiny"
    tiny_pipeline().save_pretrained(folder)
    Recipe(name="tiny", source="nobody", resolution=16, channels=1, conditional=True).save(folder / "recipe.json")
    for name in ("samples.png", "curves.png"):
        Image.new("L", (8, 8)).save(folder / name)
    (folder / "training_log.jsonl").write_text('{"kimg": 1.0}\n')
    save_facts(FACTS, folder)
    write_metrics(folder)
    return folder


@pytest.fixture
def folder(original, tmp_path):
    return shutil.copytree(original, tmp_path / "tiny")


def test_a_whole_card_misses_nothing_and_is_the_same_for_the_same_files(original, folder):
    assert unfilled(folder) == []
    write_card(folder)
    assert (folder / "README.md").read_bytes() == (original / "README.md").read_bytes()


@pytest.mark.parametrize(
    ("facts", "phrase"),
    [
        ({"summary": " "}, "what it draws (publish --summary)"),
        ({"limits": UNSAID}, "limits (publish --limits)"),
        ({"bias": UNSAID}, "bias (publish --bias)"),
        ({"data_terms": UNSAID}, "terms of the data (publish --data-terms)"),
        ({"license": ""}, "licence of the weights (publish --license"),
        ({"license": "unknown"}, "the Hub knows no licence 'unknown'"),
        ({"license": "MIT License"}, "the Hub knows no licence 'MIT License'"),
        ({"license": "other"}, "name of the other licence (publish --license-name)"),
    ],
)
def test_what_nobody_said_is_unfilled(folder, facts, phrase):
    change(folder, **facts)
    (missing,) = unfilled(folder)
    assert missing.startswith(phrase)


@pytest.mark.parametrize(
    "name", ["README.md", "recipe.json", "training_log.jsonl", "samples.png", "curves.png", "card.json", "metrics.json"]
)
def test_a_missing_or_empty_file_is_unfilled(folder, name):
    (folder / name).unlink()
    (missing,) = unfilled(folder)
    assert name.removesuffix(".json") in missing and "python -m training" in missing
    if not name.endswith(".json"):
        (folder / name).write_text("")
        assert unfilled(folder) == [missing]


@pytest.mark.parametrize(
    ("kimg", "said"), [(5.0, "the moving average of the generator."), (0.0, "the generator's own, without an average.")]
)
def test_a_card_says_which_weights_it_has(kimg, said, folder):
    Recipe(name="tiny", source="nobody", ema_kimg=kimg).save(folder / "recipe.json")
    write_card(folder)
    text = " ".join((folder / "README.md").read_text().split())
    assert f"The published weights are {said}" in text


def test_a_card_says_what_training_began_from(folder):
    Recipe(name="tiny", source="nobody", init="user/other").save(folder / "recipe.json")
    write_card(folder)
    text = " ".join((folder / "README.md").read_text().split())
    assert "began from the weights of another model, `user/other`" in text and "its licence hold for this model" in text
    assert "The terms and the licence of `user/other`, from which training began, hold as well." in text


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ({"trained_on": False}, "split test, which training never saw."),
        ({"trained_on": True}, "split test, which training saw."),
        ({"trained_on": True, "share_trained_on": 0.75}, "split test, of which training saw 75%."),
        ({"trained_on": True, "share_trained_on": 0.996}, "split test, of which training saw 99.6%."),
    ],
)
def test_a_card_says_what_training_saw_of_the_reference(reference, said, folder):
    protocol = {**PROTOCOL, "reference": {**PROTOCOL["reference"], **reference}}
    (folder / "metrics.json").write_text(json.dumps({**MEASURED, "protocol": protocol}))
    write_card(folder)
    assert said in " ".join((folder / "README.md").read_text().split())


@pytest.mark.parametrize("kimg, said", [(1095.0, "1,095"), (12_345.6, "12,346"), (320.0, "320"), (1.28, "1.28")])
def test_a_card_says_how_long_it_was_trained(kimg, said, folder):
    save_facts(dataclasses.replace(FACTS, kimg=kimg), folder)
    write_card(folder)
    assert f"{said} thousand images shown to" in " ".join((folder / "README.md").read_text().split())


def test_a_card_says_which_classes_were_asked_for(folder):
    for mix, said in (
        ({}, "truncation 1) against"),
        ({"class_mix": "equal"}, "truncation 1, mix of classes equal) against"),
    ):
        (folder / "metrics.json").write_text(json.dumps({**MEASURED, "protocol": PROTOCOL | mix}))
        write_card(folder)
        assert said in " ".join((folder / "README.md").read_text().split())


def test_a_card_says_which_pictures_were_learnt_from(folder):
    for recipe, said in (
        (Recipe(), None),
        (Recipe(typical=0.75), "Only the most typical 75% of the pictures were learnt from (instance"),
        (Recipe(typical=0.9, conditional=True), "typical 90% of the pictures of each class were learnt from ("),
        (Recipe(typical=0.75), "pixels at 16x16, which prefers plain pictures): what is rare"),
        (Recipe(typical=0.75, typical_by="edges"), "histograms of edges, which prefers common poses): what is rare"),
        (
            Recipe(sharpest=0.8),
            "Only the sharpest 80% of the pictures were learnt from (by the variance of the Laplacian in their "
            "middle): what is blurred or dim among them was left out, so that",
        ),
        (
            Recipe(sharpest=0.8, typical=0.75, typical_by="edges", conditional=True),
            "Only the sharpest 80% of the pictures of each class (by the variance of the Laplacian in their middle), "
            "and of these the most typical 75%, were learnt from (instance selection, arXiv:2007.15255, by a "
            "likelihood of histograms of edges, which prefers common poses): what is blurred or dim or rare among",
        ),
    ):
        recipe.save(folder / "recipe.json")
        write_card(folder)
        text = " ".join((folder / "README.md").read_text().split())
        assert said in text if said else "learnt from (" not in text


def test_a_card_says_what_a_screen_turns_down(folder):
    file = folder / "generator" / "config.json"
    config = json.loads(file.read_text())
    found = {"first": 100, "count": 600, "broken": [101, 102], "flawed": [103], "by": "two | people", "keep": 0.45,
             "decorrelate": 3.0, "depth": 2, "auc": 0.9, "broken_before": 0.137, "broken_after": 0.009}  # fmt: skip
    for screen, record, said in (
        (0, found, None),
        (2, None, "`ganhub.latents.latents_for(pipe.generator, [seed], [label])`"),
        (2, found, "turns down 55% of the latents. It learnt from 600 samples, seeds 100 to 699"),
        (2, found, r"which two \| people sorted by eye: 2 broken, 1 flawed"),
        (2, found, "Of all 13.7% are broken, and by cross-validation 0.9% of those that it keeps"),
        (2, found, "screen FOLDER --marks FOLDER/screen.json --keep 0.45 --decorrelate 3 --depth 2`."),
        (2, found | {"by": "", "decorrelate": 0.0}, "which somebody sorted by eye"),
        (2, found | {"by": "", "decorrelate": 0.0}, "--keep 0.45 --depth 2`"),
    ):  # fmt: skip
        file.write_text(json.dumps(config | {"screen": screen}))
        (folder / "screen.json").write_text(json.dumps(record or {}))
        write_card(folder)
        text = " ".join((folder / "README.md").read_text().split())
        assert said in text if said else "## Screen" not in text
    write_metrics(folder, protocol=MEASURED["protocol"] | {"screen": False})
    assert "truncation 1, without its screen)" in (folder / "README.md").read_text()
    assert any("without its screen" in phrase for phrase in unfilled(folder))
    (folder / "screen.json").write_text('{"first": 3}')
    with pytest.raises(UserError, match="screen.json or metrics.json is not what ganhub writes"):
        write_card(folder)


def test_a_card_says_what_changed_in_the_run(folder):
    rates = {"lr_schedule": "linear", "lr_kimg": 1000.0}
    save_facts(dataclasses.replace(FACTS, kimg=1200.06), folder)  # the last batch went beyond
    later = {"augment_p": 0.6, "penalties": {"r1": 0.5, "r2": 0.5}}
    for recipe, said in (
        (Recipe(), None),
        (Recipe(later_kimg=1200.0, **rates), None),  # it ended there
        (Recipe(later_kimg=1000.0, **rates), "After 1,000 thousand images the learning rates began again."),
        (Recipe(later_kimg=9.0, later={"g_lr": 1e-4}), "After 9 thousand images `g_lr` became 0.0001."),
        (
            Recipe(penalties={"r1": 1.0}, later_kimg=9.5, later={"penalties": {}}),
            "After 9.5 thousand images `penalties` became none.",
        ),
        (
            Recipe(later_kimg=1000.0, later=later, **rates),
            "the learning rates began again; `augment_p` became 0.6; `penalties` became r1 0.5, r2 0.5.",
        ),
        (
            Recipe(later_kimg=9.0, later={"sharpest": 0.8, "g_lr": 1e-4}),
            "At first all pictures were learnt from. After 9 thousand images only the sharpest 80% of the pictures "
            "were learnt from (by the variance of the Laplacian in their middle); `g_lr` became 0.0001.",
        ),
        (
            Recipe(sharpest=0.8, later_kimg=9.0, later={"sharpest": 1.0, "typical": 0.7}),  # neither kind in both parts
            "At first only the sharpest 80% of the pictures were learnt from (by the variance of the Laplacian in "
            "their middle). After 9 thousand images only the most typical 70%",
        ),
        (
            Recipe(sharpest=0.8, later_kimg=9.0, later={"typical": 0.7}),
            "in their middle): what is blurred or dim among them was left out, so that the rest is drawn better. After",
        ),
        (Recipe(later_kimg=9.0, later={"one_stage": True}), "After 9 thousand images `one_stage` became true."),
        (
            Recipe(later_kimg=9.0, later={"typical": 0.7, "typical_by": "edges"}),
            "After 9 thousand images only the most typical 70% of the pictures were learnt from (",
        ),
        (
            Recipe(typical=0.5, later_kimg=9.0, later={"typical": 0.7}),
            "At first only the most typical 50% of the pictures were learnt from (instance selection, "
            "arXiv:2007.15255, by a likelihood of pixels at 16x16, which prefers plain pictures): what is rare among "
            "them was left out, so that the rest is drawn better. After 9 thousand images only the most typical 70%",
        ),
        (
            Recipe(typical=0.5, later_kimg=9.0, later={"typical": 1.0}),
            "pixels at 16x16, which prefers plain pictures). After 9 thousand images all pictures were learnt from.",
        ),
        (
            Recipe(typical=0.7, later_kimg=9.0, later={"g_lr": 1e-4, "typical": 1.0}),
            "After 9 thousand images all pictures were learnt from; `g_lr` became 0.0001.",
        ),
        (
            Recipe(later_kimg=9.0, later={"g_lr": 1e-4, "later_kimg": 10.0, "later": {"d_lr": 1e-4}}),
            "After 9 thousand images `g_lr` became 0.0001. After 10 thousand images `d_lr` became 0.0001.",
        ),
        (
            Recipe(later_kimg=9.0, later={"g_lr": 1e-4, "later_kimg": 10.0, "later": {"g_lr": 1e-4, "d_lr": 1e-5}}),
            "After 10 thousand images `d_lr` became 1e-05.",
        ),
        (
            Recipe(later_kimg=9.0, later={"typical": 0.7}),
            "At first all pictures were learnt from. After 9 thousand images only the most typical 70%",
        ),
    ):
        dataclasses.replace(recipe, kimg=1200.0).save(folder / "recipe.json")
        write_card(folder)
        text = " ".join((folder / "README.md").read_text().split())
        assert said in text if said else "thousand images the learning" not in text and "became" not in text


@pytest.mark.parametrize(
    ("changes", "phrase"),
    [
        ({"protocol": None}, "the protocol of the metrics"),
        ({"generator_sha256": "0" * 64}, "metrics of these weights, they are of others"),
        ({"memorisation": None}, "memorisation"),
        ({"conditional_accuracy_per_class": None}, "accuracy per class"),
    ],
)
def test_what_was_not_measured_is_unfilled(folder, changes, phrase):
    (folder / "metrics.json").write_text(json.dumps({**MEASURED, **changes}))
    (missing,) = unfilled(folder)
    assert missing == f"{phrase} (python -m training evaluate {folder} --data DATA)"


def test_the_impossible_is_not_demanded(folder):
    notes = ["accuracy per class was not measured: no extractor", "memorisation left out: copies"]
    left_out = {"memorisation": None, "conditional_accuracy": None, "conditional_accuracy_per_class": None}
    write_metrics(folder, notes=notes, **left_out, generator_sha256=weights_sha256(folder))
    assert unfilled(folder) == []


def test_the_hub_s_client_reads_the_card_back(folder):
    change(folder, license="other", license_name="squares-only", license_link="https://x.y/z", data_id="user/squares")
    data = ModelCard.load(folder / "README.md").data
    assert (data.license, data.license_name, data.license_link) == ("other", "squares-only", "https://x.y/z")
    assert (data.library_name, data.pipeline_tag) == ("ganhub", "unconditional-image-generation")
    assert data.datasets == ["user/squares"] and data.inference is False and data.model_name == "tiny"
    assert data.tags == ["gan", "dcgan", "class-conditional"]
    found = {result.metric_type: result for result in data.eval_results}
    assert {name: result.metric_value for name, result in found.items()} == {
        name: MEASURED[name] for name in ("kid", "swd", "conditional_accuracy")
    }
    kid = found["kid"]
    assert (kid.dataset_type, kid.dataset_name, kid.dataset_split) == ("user/squares", "squares", "test")
    assert kid.metric_name == "KID (features: lens)" and found["swd"].metric_name == "Sliced Wasserstein distance"


def test_energy_is_time_by_power_and_left_out_where_that_is_unknown(folder):
    text = (folder / "README.md").read_text()
    assert "about 0.02 kWh" in text and "60.0 minutes x 2 CPU cores x 10 W (assumed)" in text
    assert "120 CPU core minutes" in text
    assert "kWh" not in change(folder, watts=0.0)
    assert "less than 0.001 kWh" in change(folder, watts=1.0, minutes=1.0)


@pytest.mark.parametrize(
    ("minutes", "text"),
    [(0.0, "less than a second"), (0.05, "3 seconds"), (1.5, "90 seconds"), (40.6, "40.6 min"), (240, "4.0 hours")],
)
def test_a_duration_is_never_nothing(folder, minutes, text):
    card = change(folder, minutes=minutes)
    assert f"in {text}" in card and "in 0" not in card


def test_pictures_and_extras_are_told_of_when_there(folder):
    assert "the terms of the data may forbid it" in (folder / "README.md").read_text()
    Image.new("L", (8, 8)).save(folder / "memorisation.png")
    keep_snapshot(folder)
    for name in ("pipeline.py", "handler.py", "generator.onnx", "generator/diffusion_pytorch_model.fp16.safetensors"):
        (folder / name).write_text("")
    write_card(folder)
    text = (folder / "README.md").read_text()
    for part in ("](memorisation.png)", "trust_remote_code", "`handler.py`", "`generator.onnx`", "fp16", ": 1000."):
        assert part in text
    assert "may forbid" not in text


def test_class_names_cannot_break_the_table(folder):
    many = {f"class {i}": 0.5 for i in range(20)}
    write_metrics(folder, conditional_accuracy_per_class={"a|b": 0.25, "c\nd": 0.5})
    assert "| class | a\\|b | c d |" in (folder / "README.md").read_text()
    write_metrics(folder, conditional_accuracy_per_class=many)
    assert "| class 19 | 50.0% |\n" in (folder / "README.md").read_text()


def test_a_published_card_goes_by_the_repo_s_name(folder):
    keep_snapshot(folder)  # added after the card was written
    rename(folder, "alice/tiny")
    text = (folder / "README.md").read_text()
    assert 'from_pretrained("alice/tiny")' in text and ModelCard(text).data.model_name == "alice/tiny"
    assert "`snapshots/` holds" in text and read_facts(folder).name == "alice/tiny"
    write_card(folder)
    assert (folder / "README.md").read_text() == text


def test_a_republished_card_offers_only_what_is_there(folder):
    """What ganhub never reads, code and ONNX, isn't fetched with a model of the Hub."""
    kept = [folder / "pipeline.py", folder / "handler.py", folder / "generator.onnx"]
    for file in kept:
        file.write_text("")
    rename(folder, "alice/tiny")
    assert "trust_remote_code" in (folder / "README.md").read_text()
    for file in kept:
        file.unlink()
    rename(folder, "bob/tiny")
    text = (folder / "README.md").read_text()
    write_card(folder)
    assert text == (folder / "README.md").read_text() and "trust_remote_code" not in text and "alice" not in text


def test_an_edited_card_keeps_its_words(folder):
    file = folder / "README.md"
    file.write_text(file.read_text() + "\nMy own words about tiny things.\n")
    rename(folder, "alice/tiny")
    assert file.read_text().endswith("\nMy own words about tiny things.\n")
    assert 'from_pretrained("alice/tiny")' in file.read_text()
    assert ModelCard(file.read_text()).data.model_name == "alice/tiny"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("card.json", '{"name": 1}', "card.json: not the facts of a card"),
        ("card.json", json.dumps({**dataclasses.asdict(FACTS), "kimg": "x"}), "kimg is 'x', not float"),
        ("metrics.json", '{"kid": 1}', "is not what ganhub writes"),
        ("recipe.json", "{}", "is not what ganhub writes"),
    ],
)
def test_damaged_files_are_one_line(folder, name, content, message):
    (folder / name).write_text(content)
    with pytest.raises(UserError, match=message) as error:
        write_card(folder)
    assert "\n" not in str(error.value)
