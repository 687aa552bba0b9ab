"""A model to the Hub and back: the same pixels, a complete card, and nothing that a stranger must not meet."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from huggingface_hub import HfApi, snapshot_download
from safetensors.torch import load_file, save_file

from ganhub import GANPipeline, UserError, cli, standalone
from ganhub.card import write_card
from ganhub.hub import ZOO, pull
from ganhub.layout import Wanted
from ganhub.publish import publish
from tests.conftest import tiny_pipeline
from tests.ganhub.pushing import commits, forget_weights, held, shown
from training import __main__ as training

WEIGHTS = "generator/diffusion_pytorch_model.safetensors"


@pytest.fixture
def repo(request) -> str:
    return f"alice/{request.node.name.split('[')[0].replace('_', '-')[:80]}"


@pytest.fixture
def digits(tmp_path):
    """A model folder whose card is complete, also after a test has changed its weights."""
    folder = shutil.copytree(ZOO / "digits", tmp_path / "digits")
    forget_weights(folder)
    return folder


@pytest.fixture(autouse=True)
def patient_loading(monkeypatch):
    monkeypatch.setenv("GANHUB_PATIENCE", "10")


def pixels(name, **options) -> list[bytes]:
    return [image.tobytes() for image in GANPipeline.from_pretrained(name, **options)(4, seed=3).images]


def card(hub, repo: str) -> str:
    return hub.get_blob(shown(hub, repo)["README.md"]).decode()


def test_published_and_loaded_it_draws_the_same(hub, digits, repo):
    before = held(digits)
    done = publish(digits, repo, tag="v1")
    assert held(digits) == before and commits(hub, repo) == 2
    assert pixels(repo) == pixels(repo, revision="v1") == pixels(repo, revision=done.commit) == pixels(digits)
    changed = {path for path, sha in shown(hub, repo).items() if before.get(path) != sha}
    assert changed == {"README.md", "card.json"} and f'from_pretrained("{repo}")' in card(hub, repo)
    again = publish(digits, repo, tag="v1")
    assert again.commit == done.commit and not again.differs and "no new commit" in again.outcome()
    assert HfApi().model_info(repo).library_name == "ganhub"


def test_the_card_of_the_repo_loads_it(hub, digits, repo):
    publish(digits, repo)
    code = card(hub, repo).split("```python\n")[1].split("```")[0]
    names: dict = {}
    exec(code, names)
    assert len(names["images"]) == 16


def test_half_precision_lies_beside_the_plain_weights(hub, digits, repo):
    for file in digits.glob("*/*.safetensors"):
        wide = {key: value.float() if value.is_floating_point() else value for key, value in load_file(file).items()}
        save_file({key: value * 1.0001 if value.is_floating_point() else value for key, value in wide.items()}, file)
    done = publish(digits, repo, variant="fp16")
    assert {path for path in done.uploaded if ".fp16." in path} == {
        f"{part}/diffusion_pytorch_model.fp16.safetensors" for part in ("generator", "discriminator")
    }
    half = GANPipeline.from_pretrained(repo, variant="fp16", discriminator=True).generator.state_dict()
    for key, value in load_file(digits / WEIGHTS).items():
        expected = value.half().float() if value.is_floating_point() else value
        assert torch.equal(half[key], expected)
    assert pixels(repo) == pixels(digits)
    assert set(publish(digits, repo).deleted) == {path for path in done.uploaded if ".fp16." in path}


def test_half_precision_is_not_published_twice(hub, digits):
    with pytest.raises(UserError, match="is in fp16 already, .* leave that out, or export the run again with --dtype"):
        publish(digits, "alice/twice", variant="fp16")
    assert not hub.requests


@pytest.mark.parametrize("text", ["see https://x.org/home/me/y", "https://tmp/x", "runs/home/me/x", "~/tmp/x", "/tmp"])
def test_an_address_is_no_path_of_this_machine(hub, digits, repo, text):
    (digits / "notes.md").write_text(text)
    assert publish(digits, repo).differs


def test_a_pull_request_and_a_private_repo_load(hub, digits, repo):
    publish(digits, repo, private=True)
    assert HfApi().repo_info(repo).private and pixels(repo) == pixels(digits)
    with pytest.raises(UserError, match=repo):
        GANPipeline.from_pretrained(repo, token="hf_bob_write", cache_dir=digits.parent / "cache")
    weights = load_file(digits / WEIGHTS)
    save_file(
        {key: value * 0.9 if value.is_floating_point() else value for key, value in weights.items()}, digits / WEIGHTS
    )
    publish(digits, repo, create_pr=True)
    assert pixels(repo, revision="refs/pr/1") == pixels(digits) != pixels(repo)


@pytest.mark.parametrize("dry_run", [False, True])
def test_an_unfilled_card_is_refused_naming_all_of_it(hub, digits, dry_run):
    (digits / "metrics.json").unlink()
    facts = json.loads((digits / "card.json").read_text()) | {"limits": "", "license": "mine"}
    (digits / "card.json").write_text(json.dumps(facts))
    with pytest.raises(UserError, match=r"missing: .*--limits.*--license.*training evaluate") as error:
        publish(digits, "alice/unfilled", dry_run=dry_run)
    assert "\n" not in str(error.value) and not hub.requests and shown(hub, "alice/unfilled") is None


def spoil_weights(folder):
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-9])


SPOILED = {
    "a pickle": (lambda folder: (folder / "old.pt").write_bytes(b"\x80"), "old.pt: a pickle can run code"),
    "a path": (lambda folder: (folder / "notes.md").write_text("from /home/me/data"), "notes.md: names /home/me/data"),
    "damage": (spoil_weights, "damaged or cut short"),
    "a path in an address": (lambda folder: (folder / "n.md").write_text("file:///home/me/x"), "names /home/me/x"),
    "a path after a colon": (lambda folder: (folder / "n.yml").write_text("a:/tmp/me/x"), "names /tmp/me/x"),
    "a path of Windows": (lambda folder: (folder / "n.md").write_text("file:///C:/Users/me"), "names C:/Users/me"),
    "a damaged variant": (
        lambda folder: (folder / "generator/diffusion_pytorch_model.fp16.safetensors").write_bytes(b"{}"),
        "fp16.safetensors: damaged or cut short",
    ),
    "a large sheet": (
        lambda folder: (folder / "snapshots/000000001.png").write_bytes(bytes(2**22)),
        "000000001.png: has 4,194,304 bytes; ganhub reads at most 4,000,000",
    ),
    **{
        name: (lambda folder, name=name: (folder / name).write_bytes(b"\x80"), f"{name}: a pickle can run code")
        for name in ("model.PT", "a.pth.tar", "y.PKL", "z.dill", "x.npy", "w.bin.gz")
    },
    "no model": (lambda folder: (folder / "model_index.json").unlink(), "no model_index.json here"),
}


@pytest.mark.parametrize("what", SPOILED)
def test_what_a_stranger_must_not_meet_is_refused(hub, digits, what):
    spoil, line = SPOILED[what]
    spoil(digits)
    with pytest.raises(UserError, match=line) as error:
        publish(digits, "alice/spoiled")
    assert "ganhub-publish" not in str(error.value) and not hub.requests


def test_a_pipeline_pushes_what_it_was_loaded_from(hub, digits, repo):
    GANPipeline.from_pretrained(digits).push_to_hub(repo)
    GANPipeline.from_pretrained(repo).push_to_hub(f"{repo}-copy", private=True)
    first, second = shown(hub, repo), shown(hub, f"{repo}-copy")
    assert {path for path in first if first[path] != second.get(path)} == {"README.md", "card.json"}
    assert pixels(f"{repo}-copy") == pixels(digits)


def test_a_pipeline_knows_its_folder_wherever_it_is_pushed_from(hub, digits, repo, monkeypatch):
    monkeypatch.chdir(digits)
    pipe = GANPipeline.from_pretrained(".")
    monkeypatch.chdir("/")
    assert pipe.push_to_hub(repo).differs and pixels(repo) == pixels(digits)


def test_a_pipeline_pushes_only_what_is_of_the_model(hub, digits, repo, tmp_path, monkeypatch):
    """Other programs fetch all of a repo: training states, notes, pickles."""
    publish(digits, repo)
    for name in ("training/checkpoints/000001/state.json", "old.pt", "pipeline.py"):
        HfApi().upload_file(repo_id=repo, path_in_repo=name, path_or_fileobj=b"x")
    folder = Path(snapshot_download(repo))
    assert (folder / "old.pt").exists()
    GANPipeline.from_pretrained(repo).push_to_hub(f"{repo}-copy")
    assert shown(hub, f"{repo}-copy").keys() == held(digits).keys()


def test_a_copy_without_the_code_does_not_lead_to_it(hub, digits, repo):
    standalone.write(digits)
    write_card(digits)
    publish(digits, repo)
    GANPipeline.from_pretrained(repo).push_to_hub(repo, tag="v1")  # the code is there, so all stays as it is
    assert commits(hub, repo) == 2 and "trust_remote_code" in card(hub, repo)
    HfApi().delete_file("pipeline.py", repo)
    with pytest.raises(UserError, match="leads to a pipeline.py that is neither here nor in"):
        GANPipeline.from_pretrained(repo).push_to_hub(repo)
    GANPipeline.from_pretrained(repo).push_to_hub(f"{repo}-copy")
    index = json.loads(hub.get_blob(shown(hub, f"{repo}-copy")["model_index.json"]))
    assert index["_class_name"] == "GANPipeline" and index["class_names"] == [str(i) for i in range(10)]
    assert "trust_remote_code" not in card(hub, f"{repo}-copy") and pixels(f"{repo}-copy") == pixels(digits)


def test_all_of_a_repo_pulled_and_pushed_back_is_no_change(hub, digits, repo, tmp_path):
    (digits / "generator.onnx").write_bytes(b"a graph")
    publish(digits, repo)
    folder, _ = pull(repo, Wanted(everything=True), out=tmp_path / "whole")
    assert (folder / "generator.onnx").read_bytes() == b"a graph" and not publish(folder, repo).differs


def test_a_pipeline_with_other_weights_or_of_no_folder_is_not_pushed(hub, digits):
    with pytest.raises(UserError, match="of no model folder.*training export"):
        tiny_pipeline().push_to_hub("alice/none")
    pipe = GANPipeline.from_pretrained(digits, torch_dtype=torch.float16)
    pipe.push_to_hub("alice/half", dry_run=True)
    next(pipe.generator.parameters()).data.add_(0.01)
    with pytest.raises(UserError, match="the weights in memory are others"):
        pipe.push_to_hub("alice/none")
    assert shown(hub, "alice/none") is None


@pytest.mark.parametrize("command", ["ganhub", "training"])
def test_what_is_typed_reaches_the_hub(hub, digits, repo, command, monkeypatch):
    name = f"{repo}-{command}"

    def typed(*options):
        words = ["push", digits, name] if command == "ganhub" else ["publish", digits, "--repo", name]
        monkeypatch.setattr(sys, "argv", [command, *map(str, words), *options])
        (cli if command == "ganhub" else training).main()

    typed("--dry-run")
    assert shown(hub, name) is None and not hub.log("POST")
    typed("--private")
    assert HfApi().repo_info(name).private
    before = shown(hub, name)
    (digits / "notes.md").write_text("new")
    typed("--create-pr")
    assert shown(hub, name) == before and "notes.md" in shown(hub, name, "refs/pr/1")


def test_the_command_line_shows_the_files_and_ends_with_the_address(hub, repo, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["ganhub", "push", "digits", repo])
    cli.main()
    out = capsys.readouterr().out
    assert f"upload  {WEIGHTS}\n" in out and f"\n{hub.endpoint}/{repo}: published as commit " in out
    monkeypatch.setattr(sys, "argv", ["ganhub", "push", "digits", "bob/his"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 1 and capsys.readouterr().err.startswith("error: bob/his: alice may not write there")
