"""The `ganhub` command, run as a user runs it."""

import json
import os
import subprocess
import sys

import pytest
from huggingface_hub import HfApi
from PIL import Image

from ganhub import GANPipeline, cli
from tests.ganhub.test_download import new_version
from tests.ganhub.test_screen import screened


def run(*arguments):
    """In this process, which has torch loaded already; exit status and what went to stderr come back."""
    sys.argv = ["ganhub", *map(str, arguments)]
    cli.main()


def fails(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        run(*arguments)
    assert stop.value.code == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    return error


def test_generate_writes_the_pipelines_pictures(model, pipe, tmp_path, capsys):
    out = tmp_path / "out"
    run("generate", model, "--labels", "0-2", "--num", 6, "--seed", 7, "--out", out)
    assert "6 files written" in capsys.readouterr().out
    names = [f"class{i % 3:03d}_seed{7 + i:06d}.png" for i in range(6)]
    assert sorted(path.name for path in out.iterdir()) == sorted(names)
    for name, picture in zip(names, pipe(6, labels=[0, 1, 2, 0, 1, 2], seed=7).images, strict=True):
        assert Image.open(out / name).tobytes() == picture.tobytes()


def drawn(folder):
    return [Image.open(file).tobytes() for file in sorted(folder.iterdir())]


def test_generate_takes_every_first_latent_where_it_is_told_to(tmp_path):
    pipe = GANPipeline(screened())
    pipe.save_pretrained(tmp_path / "model")
    for screen, options in ((True, []), (False, ["--no-screen"])):
        run("generate", tmp_path / "model", "--num", 20, "--out", tmp_path / f"{screen}", *options)
        assert drawn(tmp_path / f"{screen}") == [image.tobytes() for image in pipe(20, screen=screen).images]
    assert drawn(tmp_path / "True") != drawn(tmp_path / "False")


def test_generate_draws_the_revision_that_is_asked_for(repo, model, pipe, tmp_path, monkeypatch):
    monkeypatch.setenv("GANHUB_PATIENCE", "30")
    first = HfApi().repo_info(repo).sha
    new_version(repo, pipe, tmp_path)
    run("generate", repo, "--num", 2, "--out", tmp_path / "new")
    run("generate", repo, "--revision", first, "--num", 2, "--out", tmp_path / "first")
    assert drawn(tmp_path / "first") == [image.tobytes() for image in pipe(2).images] != drawn(tmp_path / "new")


def test_generate_writes_a_grid(model, tmp_path):
    run("generate", model, "--num", 6, "--out", tmp_path / "a", "--grid-only", "--columns", 3)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["grid.png"]
    assert Image.open(tmp_path / "a" / "grid.png").size == (3 * 18 - 2, 2 * 18 - 2)
    run("generate", model, "--num", 2, "--out", tmp_path / "b", "--grid")
    assert len(list((tmp_path / "b").iterdir())) == 3


def test_generate_overwrites_nothing_unless_forced(model, tmp_path, capsys):
    run("generate", model, "--num", 2, "--out", tmp_path)
    first = tmp_path / "class000_seed000000.png"
    first.write_bytes(b"mine")
    (tmp_path / "class001_seed000001.png").unlink()
    assert "is already there" in fails(capsys, "generate", model, "--num", 2, "--out", tmp_path)
    assert first.read_bytes() == b"mine" and not (tmp_path / "class001_seed000001.png").exists()
    run("generate", model, "--num", 2, "--out", tmp_path, "--force")
    assert first.read_bytes() != b"mine"


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--labels", "0-9"], "a label must be a class, 0 to 2 or zero, one, two; got 9"),
        (["--labels", "cat"], "a label must be a class, 0 to 2 or zero, one, two; got 'cat'"),
        (["--labels", "2-1"], "an empty range"),
        (["--labels", "0-9999999999"], "a label must be a class"),
        (["--labels", ""], "a label must be a class"),
        (["--labels", "1", "--num", "1000000000000"], "num_images must be"),
        (["--num", "0"], "num_images must be"),
        (["--num", "-3"], "num_images must be"),
        (["--truncation", "9"], "truncation must be"),
        (["--seed", "-1"], "a seed must be"),
        (["--columns", "0", "--grid-only"], "--columns must be at least 1"),
    ],
)
def test_bad_options_are_one_line(arguments, words, model, tmp_path, capsys):
    assert words in fails(capsys, "generate", model, "--out", tmp_path / "out", *arguments)
    assert not (tmp_path / "out").exists()


def test_unknown_models_and_folders_that_are_files(tmp_path, model, capsys):
    assert "no such model; known: " in fails(capsys, "info", "nonsense")
    (tmp_path / "file").write_text("")
    assert "can't be written" in fails(capsys, "generate", model, "--num", 1, "--out", tmp_path / "file" / "x")


@pytest.mark.parametrize(
    "text, labels",
    [("7", [7]), ("0-3", [0, 1, 2, 3]), ("1,3,5-7", [1, 3, 5, 6, 7]), ("b,A", [1, 0]), ("2-in-1,2-1", [2, 3])],
)
def test_labels(text, labels):
    assert cli.parse_labels(text, ["a", "b", "2-in-1", "2-1", *"cdef"]) == labels


@pytest.mark.parametrize(
    ("text", "names", "labels"), [("0-2", "123", [0, 1, 2]), ("1-3", "123", [0, 1, 2]), ("1-2", "352", [1, 2])]
)
def test_the_ends_of_a_range_are_both_names_or_both_ids(text, names, labels):
    assert cli.parse_labels(text, [*names]) == labels


@pytest.mark.parametrize("text", ["", "a-", "-3", "x", "1,,2", "0,0-99999999999", "2-1,0", "zero,zero,cat"])
def test_labels_that_say_nothing(text, model, tmp_path, capsys):
    error = fails(capsys, "generate", model, "--out", tmp_path / "out", f"--labels={text}", "--num", 1)
    assert f"--labels {text}: " in error and "such as 7, 0-9 or 1,3,5" in error


def test_info_says_what_a_model_is(model, capsys):
    run("info", model)
    text = capsys.readouterr().out
    for words in ("dcgan", "16x16 pixels, grey", "zero, one, two", "not measured"):
        assert words in text


@pytest.mark.parametrize(
    "kimg, words", [(250.0, "250 kimg on MNIST"), (0.0, "elsewhere on MNIST"), (None, "elsewhere")]
)
def test_info_says_how_long_a_model_was_trained(kimg, words, model, capsys):
    (model / "card.json").write_text(json.dumps({"kimg": kimg, "data": "MNIST"}))
    run("info", model)
    assert words in capsys.readouterr().out


@pytest.mark.parametrize("text", ["[]", '{"a": 1}', '{"fid": "x", "kid": null}', "{", "\x00"])
@pytest.mark.parametrize("name", ["card.json", "metrics.json"])
def test_info_survives_a_strangers_files(name, text, model, capsys):
    (model / name).write_text(text)
    try:
        run("info", model)
    except SystemExit as stop:
        assert stop.code == 1 and capsys.readouterr().err.count("\n") == 1


def modules_after(code):
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {code}; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_importing_ganhub_or_asking_for_help_loads_nothing_heavy():
    heavy = {"torch", "diffusers", "numpy", "PIL", "gradio", "huggingface_hub"}
    assert not heavy & modules_after("import ganhub")
    assert not heavy & modules_after("from ganhub import cli; cli.parser().format_help()")
    assert "torch" in modules_after("from ganhub import GANPipeline")
    done = subprocess.run([sys.executable, "-m", "ganhub", "--help"], capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0 and "generate" in done.stdout


def test_nobody_is_told_what_is_done_here():
    code = """
def tell():
    from huggingface_hub import constants
    from ganhub.studio import build
    import gradio
    print(constants.HF_HUB_DISABLE_TELEMETRY, gradio.Blocks().analytics_enabled)

from ganhub.command import run_command
run_command(tell)
"""
    told = {"HF_HUB_DISABLE_TELEMETRY", "DISABLE_TELEMETRY", "DO_NOT_TRACK", "GRADIO_ANALYTICS_ENABLED"}
    environment = {name: value for name, value in os.environ.items() if name not in told}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout == "True False\n", done.stderr[-2000:]
