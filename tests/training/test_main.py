"""`python -m training`, run as a user runs it."""

import subprocess
import sys

import pytest
from accelerate.state import AcceleratorState

from ganhub import UserError
from tests.conftest import write_pictures
from training import __main__ as command
from training.presets import PRESETS


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["training", *map(str, arguments)])
    command.main()


def test_without_what_training_needs_it_says_how_to_get_it():
    code = "import runpy, sys; sys.modules['tyro'] = None; runpy.run_module('training', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1 and "run `make install`" in done.stderr and done.stderr.count("\n") == 1


TINY = ["--kimg", 0.02, "--batch-size", 4, "--resolution", 16, "--generator", "width=4"]
TINY += ["--discriminator", "width=4", "norm=none"]


def test_train_export_evaluate(monkeypatch, picture_folder, tmp_path, capsys):
    """The whole way by the commands of the README."""
    options = ["--data", picture_folder, "--classes", "dark", "--penalties", "r1=0.5", "--augment", "color", "cutout"]
    run(monkeypatch, "train", "frogs", "--run-dir", tmp_path / "run", *options, *TINY)
    assert "done" in capsys.readouterr().out
    run(monkeypatch, "export", tmp_path / "run", "--out", tmp_path / "model")
    measure = ["--data", picture_folder, "--extractor", "none", "--samples", 40]
    with pytest.raises(SystemExit):
        run(monkeypatch, "evaluate", tmp_path / "model", *measure)
    assert "12 pictures, too few to compare with" in capsys.readouterr().err
    run(monkeypatch, "train", "frogs", "--run-dir", tmp_path / "all", "--classes", "--data", picture_folder, *TINY)
    run(monkeypatch, "export", tmp_path / "all", "--out", tmp_path / "both")
    run(monkeypatch, "evaluate", tmp_path / "both", *measure)
    assert "Sliced Wasserstein" in capsys.readouterr().out
    card = (tmp_path / "both" / "README.md").read_text()
    assert "Not measured" not in card and "CIFAR" not in card and "other pictures than" not in card
    others = write_pictures(tmp_path / "others", count=13)
    run(monkeypatch, "evaluate", tmp_path / "both", "--data", others, *measure[2:])
    assert (
        "Note: --data holds other pictures than the model was trained on" in (tmp_path / "both/README.md").read_text()
    )


@pytest.mark.parametrize("rank, said", [("0", True), ("1", False)])
def test_of_several_processes_one_says_that_they_are_done(rank, said, monkeypatch, picture_folder, tmp_path, capsys):
    monkeypatch.setenv("RANK", rank)  # as torchrun does
    run(monkeypatch, "train", "frogs", "--run-dir", tmp_path / "run", "--classes", "--data", picture_folder, *TINY)
    assert ("done. Make a model folder with" in capsys.readouterr().out) == said


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["train", "cats"], "no preset 'cats'; known: digits"),
        (["train", "frogs", "--run-dir", "x"], "no data given"),
        (["train", "frogs", "--run-dir", "x", "--data", "/no/such"], "no such folder"),
        (["train", "frogs", "--run-dir", "x", "--data", "a/b", "--objective", "wgan"], "known: non_saturating"),
        (["export", "/no/such", "--out", "x"], "not found"),
        (["evaluate", "/no/such", "--data", "x"], "no such model folder"),
        (["benchmark", "--preset", "cats"], "no preset 'cats'"),
    ],
)
def test_mistakes_are_one_line(arguments, words, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        run(monkeypatch, *arguments)
    error = capsys.readouterr().err
    assert stop.value.code == 1 and words in error and error.count("\n") == 1


@pytest.mark.parametrize("name", PRESETS)
def test_every_setting_of_a_recipe_is_an_option(name, monkeypatch, capsys):
    with pytest.raises(SystemExit) as stop:
        run(monkeypatch, "train", name, "--help")
    assert stop.value.code == 0
    text = capsys.readouterr().out
    for option in ("--data", "--classes", "--penalties", "--ema-kimg", "--resume", "--generator"):
        assert option in text
    assert "--name" not in text and "--source" not in text  # those are the preset's


def test_help_lists_the_commands_and_loads_no_torch():
    code = (
        "import sys; sys.argv[1:] = ['--help']\nimport training.__main__ as m\ntry: m.main()\nexcept SystemExit: pass\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code + "print('torch' in sys.modules)"], capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith("False\n") and all(name in done.stdout for name in command.COMMANDS)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"rounds": 0}, "--rounds and --steps must be at least 1, got 0 and 20"),
        ({"steps": 0}, "must be at least 1"),
        ({"images": 32}, "--images 32: fewer than the batch of 64"),
    ],
)
def test_a_benchmark_of_nothing_is_one_line(changes, words):
    from training.benchmark import Benchmark
    from training.benchmark import run as measure

    with pytest.raises(UserError, match=words):
        measure(Benchmark("frogs", **changes))


@pytest.mark.parametrize(
    "precision, one_stage, said",
    [(None, False, "vanilla-mnist: "), ("bf16", True, "vanilla-mnist in bf16, one stage: ")],
)
def test_benchmark_compares_with_the_plain_loop(precision, one_stage, said, capsys):
    from training.benchmark import Benchmark
    from training.benchmark import run as measure

    AcceleratorState._reset_state(True)
    try:
        result = measure(
            Benchmark("vanilla-mnist", rounds=1, steps=2, images=256, mixed_precision=precision, one_stage=one_stage)
        )
        assert AcceleratorState().mixed_precision == (precision or "no")
    finally:
        AcceleratorState._reset_state(True)
    assert result["ratio"] > 0 and result["ganhub"] > 0 and result["plain"] > 0
    assert capsys.readouterr().out.startswith(said)
