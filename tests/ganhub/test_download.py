"""Downloads from a Hub that fails in every way: what comes is right, or one line, or the copy in the cache."""

import copy
import errno
import logging
import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from huggingface_hub import HfApi, close_session, constants, scan_cache_dir, snapshot_download

from ganhub import GANPipeline, UserError
from ganhub.download import Source, ask
from ganhub.hub import resolve
from ganhub.patience import BRIEF, Patience, ask_briefly
from ganhub.store import Store

WEIGHTS = "/cdn/"
NEEDED = "/resolve/|/cdn/"


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def wait_long(monkeypatch):
    """For tests of what the Hub says, on a machine that may be slow."""
    monkeypatch.setenv("GANHUB_PATIENCE", "30")


def pixels(name, **options):
    return [image.tobytes() for image in GANPipeline.from_pretrained(name, **options)(4).images]


def asked(hub, repo):
    """The requests for this repo: those of an earlier test may still be answered, slow as it made the Hub."""
    return [request for request in hub.requests if repo in request["path"]]


def notes(repo, cache):
    """What ganhub remembers of a repo."""
    return cache / f"models--{repo.replace('/', '--')}" / "ganhub"


@pytest.fixture
def wait_for_late_answer():
    """Of this test: those of others may take longer."""
    before = threading.enumerate()

    def wait():
        for thread in threading.enumerate():
            if thread.name == "ganhub-asks" and thread not in before:
                thread.join(10)

    return wait


def new_version(repo, pipe, folder):
    """Another bias in the weights: other pixels, same size."""
    generator = copy.deepcopy(pipe.generator)
    generator.to_image.bias.data.add_(0.5)
    generator.save_pretrained(folder / "edited")
    path = "generator/diffusion_pytorch_model.safetensors"
    api = HfApi()
    api.upload_file(repo_id=repo, path_in_repo=path, path_or_fileobj=folder / "edited" / path.rpartition("/")[2])
    return api.repo_info(repo).sha


@pytest.mark.parametrize(
    "match, fault",
    [
        ("/api/models", {"status": 503, "times": 2}),
        ("/api/models", {"status": 429, "times": 1, "headers": {"Retry-After": "1"}}),
        ("/api/models", {"kind": "html"}),
        ("/api/models", {"kind": "drop"}),
        (NEEDED, {"status": 500, "times": 3}),
        (NEEDED, {"status": 503, "times": 1, "skip": 2}),
        (NEEDED, {"status": 429, "times": 1, "headers": {"Retry-After": "1"}}),
        (WEIGHTS, {"kind": "drop", "after": 0}),
        (WEIGHTS, {"kind": "drop", "after": 700}),
        (WEIGHTS, {"kind": "drop", "after": 4321}),
        (WEIGHTS, {"kind": "truncate", "after": 1234}),
        (WEIGHTS, {"kind": "corrupt"}),
        (WEIGHTS, {"kind": "html"}),
        ("config.json", {"kind": "corrupt"}),
        ("model_index.json", {"kind": "truncate", "after": 20}),
        (WEIGHTS, {"kind": "delay", "seconds": 0.5}),
    ],
)
def test_a_fault_that_passes_is_borne(hub, repo, model, cache, match, fault):
    hub.fault(match, **fault)
    assert pixels(repo, cache_dir=cache) == pixels(model)
    assert any(request["fault"] for request in hub.requests)


@pytest.mark.parametrize(
    "match, fault, words",
    [
        ("/api/models", {"status": 503}, r"in trouble \(status 503\)"),
        ("/api/models", {"kind": "html"}, "what answered isn't the Hub"),
        ("/api/models", {"status": 429, "headers": {"Retry-After": "3600"}}, "rate limit is reached; .* 60 minutes"),
        ("/api/models", {"status": 401, "body": {"error": "Invalid credentials"}}, "hf auth login"),
        (NEEDED, {"status": 429, "headers": {"Retry-After": "3600"}}, "rate limit is reached"),
        (NEEDED, {"status": 403, "body": {"error": "no"}}, "may not do that"),
        (WEIGHTS, {"kind": "corrupt"}, "came twice with other content than the Hub announced"),
        (WEIGHTS, {"kind": "html"}, "came twice|ended after|can't be reached"),
        (WEIGHTS, {"kind": "drip", "after": 50, "seconds": 0.02}, "less than 16,384 bytes came in 0.5 s"),
    ],
)
def test_a_fault_that_stays_is_one_line_in_a_short_time(hub, repo, model, cache, match, fault, words, monkeypatch):
    monkeypatch.setattr("ganhub.patience.PAUSES", (0.01, 0.02))
    monkeypatch.setattr(Patience.__init__, "__defaults__", (0.5,))
    hub.fault(match, times=1000, **fault)
    start = time.monotonic()
    with pytest.raises(UserError, match=words) as caught:
        GANPipeline.from_pretrained(repo, cache_dir=cache)
    assert "\n" not in str(caught.value) and repo in str(caught.value) and time.monotonic() - start < 5
    hub.faults.clear()
    assert pixels(repo, cache_dir=cache) == pixels(model)


def test_the_default_patience_ends(monkeypatch):
    """Counted, not slept."""
    slept = []
    monkeypatch.setattr("ganhub.patience.time.sleep", slept.append)
    patience = Patience()
    with pytest.raises(ConnectionError):
        while True:
            patience.pause(ConnectionError("x"))
    assert 5 <= sum(slept) <= 20


def test_a_drop_goes_on_where_it_broke_off(hub, repo, cache):
    hub.requests.clear()  # those of another test that was answered slowly
    hub.fault(WEIGHTS, kind="drop", after=4321)
    GANPipeline.from_pretrained(repo, cache_dir=cache)
    assert [request["range"] for request in hub.log(WEIGHTS)] == [None, "bytes=4321-"]


def test_a_file_that_is_whole_is_never_too_late(repo, cache, monkeypatch):
    """A small one comes in one piece, however long it took to connect."""
    monkeypatch.setattr(Patience, "arrived", lambda self, size, new: pytest.fail("a whole file was judged"))
    monkeypatch.setattr("ganhub.layout.Wanted.choose", lambda self, repo, files: ["model_index.json"])
    assert (resolve(repo, cache_dir=cache) / "model_index.json").is_file()


@pytest.mark.parametrize("ranges", [True, False])
def test_bytes_that_come_again_are_no_progress(hub, repo, model, cache, ranges, monkeypatch):
    """Every body is cut after 4,000 bytes; where Range is ignored besides, that must not be borne for ever."""
    monkeypatch.setattr("ganhub.patience.PAUSES", (0.1,))
    monkeypatch.setattr("ganhub.patience.HOPE", 3000)
    monkeypatch.setattr(Patience.__init__, "__defaults__", (0.35,))
    monkeypatch.setattr(hub, "ranges", ranges)
    hub.fault(WEIGHTS, kind="drop", after=4000, times=20)
    if ranges:
        assert pixels(repo, cache_dir=cache) == pixels(model)
        return
    with pytest.raises(UserError, match="can't be reached"):
        pixels(repo, cache_dir=cache)


def test_only_what_is_needed_is_fetched_in_few_requests(hub, repo, cache):
    hub.requests.clear()
    GANPipeline.from_pretrained(repo, cache_dir=cache)
    paths = [request["path"] for request in hub.log("GET|HEAD")]
    assert sum("/resolve/" in path for path in paths) == 3 and sum("/api/" in path for path in paths) == 1
    assert not any(word in path for path in paths for word in ("discriminator", "README"))
    hub.requests.clear()
    assert (resolve(repo, cache_dir=cache) / "README.md").read_text().endswith("# a card\n")
    assert sum("/resolve/" in request["path"] for request in hub.requests) == 1


def test_a_cached_commit_needs_no_request(hub, repo, model, cache):
    commit = HfApi().repo_info(repo).sha
    pixels(repo, cache_dir=cache, revision=commit)
    hub.requests.clear()
    assert pixels(repo, cache_dir=cache, revision=commit) == pixels(model)
    assert pixels(repo, cache_dir=cache, revision=commit, local_files_only=True) == pixels(model)
    assert asked(hub, repo) == []


@pytest.mark.parametrize("way", ["argument", "environment"])
def test_offline_asks_nobody(hub, repo, model, cache, way, monkeypatch):
    options = {"cache_dir": cache, "local_files_only": way == "argument"}
    if way == "environment":
        pixels(repo, cache_dir=cache)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    else:
        with pytest.raises(UserError, match="not whole in the cache"):
            pixels(repo, **options)
        pixels(repo, cache_dir=cache)
    hub.requests.clear()
    assert pixels(repo, **options) == pixels(model)
    with pytest.raises(UserError, match="not whole in the cache"):
        GANPipeline.from_pretrained(repo, discriminator=True, **options)
    assert asked(hub, repo) == []


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "delay", "seconds": 5},
        {"status": 503},
        {"status": 429, "headers": {"Retry-After": "3600"}},
        {"kind": "html"},
        {"kind": "drop"},
    ],
)
def test_the_copy_serves_at_once_and_that_is_said(hub, repo, model, cache, fault, caplog):
    pixels(repo, cache_dir=cache)
    commit = HfApi().repo_info(repo).sha
    hub.fault(".*", times=1000, **fault)
    start = time.monotonic()
    with caplog.at_level(logging.WARNING, "ganhub"):
        assert pixels(repo, cache_dir=cache) == pixels(model)
    assert time.monotonic() - start < 2
    (line,) = [record.getMessage() for record in caplog.records if record.name == "ganhub"]
    assert line.startswith(f"{repo}: the Hub ") and line.endswith(f"; using the copy of {commit[:7]} from the cache")
    if fault.get("kind") == "delay":
        assert "didn't answer within 0.08 s" in line


def test_a_slow_hub_costs_less_than_100_ms(hub, repo, cache, monkeypatch):
    pixels(repo, cache_dir=cache)
    waits = []

    def timed(*arguments):
        start = time.perf_counter()
        answer = ask_briefly(*arguments)
        waits.append(time.perf_counter() - start)
        return answer

    monkeypatch.setattr("ganhub.download.ask_briefly", timed)
    hub.fault("/api/models", kind="delay", seconds=1, times=1000)
    for _ in range(5):
        pixels(repo, cache_dir=cache)
    assert BRIEF <= min(waits) < 0.1  # the least, as this machine has other things to do


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_proxy_that_refuses_is_not_the_hub(hub, repo, model, cache, status, wait_long, monkeypatch, caplog):
    pixels(repo, cache_dir=cache)
    monkeypatch.setattr("ganhub.download.HUBS_OWN", ("X-Nobody-Sends-This",))
    hub.fault("/api/models", status=status, times=1000)
    with caplog.at_level(logging.WARNING, "ganhub"):
        assert pixels(repo, cache_dir=cache) == pixels(model)
    assert "the Hub can't be asked; using the copy" in caplog.text
    if status != 404:
        with pytest.raises(UserError, match=f"{repo}: what answered isn't the Hub"):
            pixels(repo, cache_dir=cache.parent / "other")


def test_a_mirror_that_tells_sizes_and_hashes_only_with_the_files(hub, repo, model, cache, monkeypatch):
    """Which is what the client itself asks of one."""
    monkeypatch.setattr("ganhub.download.announced", lambda sibling: None)
    assert pixels(repo, cache_dir=cache) == pixels(model)
    hub.fault(WEIGHTS, kind="corrupt", times=1000)
    with pytest.raises(UserError, match="other content than the Hub announced"):
        pixels(repo, cache_dir=cache.parent / "other")


def test_a_new_version_is_fetched_when_the_hub_says_so(repo, pipe, cache, wait_long):
    old = pixels(repo, cache_dir=cache)
    commit = new_version(repo, pipe, cache.parent)
    new = pixels(repo, cache_dir=cache)
    times = {file: file.stat().st_mtime_ns for file in cache.rglob("*")}
    assert pixels(repo, cache_dir=cache) == new
    assert times == {file: file.stat().st_mtime_ns for file in cache.rglob("*")}, "a warm load writes nothing"
    assert new != old and resolve(repo, cache_dir=cache).name == commit


def test_a_late_answer_is_known_the_next_time(hub, repo, pipe, cache, caplog):
    old = pixels(repo, cache_dir=cache)
    commit = new_version(repo, pipe, cache.parent)
    hub.fault("/api/models", kind="delay", seconds=0.4, times=1)
    assert pixels(repo, cache_dir=cache) == old
    note = notes(repo, cache) / "newer" / "main"
    deadline = time.monotonic() + 10
    while not note.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    hub.fault("/api/models", kind="delay", seconds=5, times=1)
    with caplog.at_level(logging.WARNING, "ganhub"):
        assert pixels(repo, cache_dir=cache) != old
    assert f"{repo}: has a newer version, {commit[:7]}; fetching it" in caplog.text


def test_a_late_answer_that_says_nothing_new_writes_nothing(hub, repo, cache, wait_for_late_answer):
    commit = HfApi().repo_info(repo).sha
    pixels(repo, cache_dir=cache)
    written = (notes(repo, cache) / f"{commit}.json").stat().st_mtime_ns
    hub.fault("/api/models", kind="delay", seconds=0.3)
    pixels(repo, cache_dir=cache)
    wait_for_late_answer()
    assert (notes(repo, cache) / f"{commit}.json").stat().st_mtime_ns == written


def test_a_late_answer_to_a_cache_that_cant_be_written_to_is_no_trouble(
    hub, repo, model, cache, wait_for_late_answer, monkeypatch
):
    pixels(repo, cache_dir=cache)
    shutil.rmtree(notes(repo, cache))
    notes(repo, cache).write_text("a file, so nothing can be noted below it")
    troubles = []
    monkeypatch.setattr(threading, "excepthook", troubles.append)
    hub.fault("/api/models", kind="delay", seconds=0.3)
    assert pixels(repo, cache_dir=cache) == pixels(model)
    wait_for_late_answer()
    assert not troubles and not any(fault["times"] for fault in hub.faults)


def test_a_note_of_a_newer_version_is_void_once_another_was_fetched(hub, repo, pipe, cache, wait_long):
    pixels(repo, cache_dir=cache)
    store = Store(repo, cache)
    older = ask(repo, Source())
    new_version(repo, pipe, cache.parent)
    store.note_newer("main", ask(repo, Source()))
    assert store.newer("main") is not None
    newest = resolve(repo, cache_dir=cache).name  # the note isn't needed: the Hub answered
    assert store.find("main") == newest != older.id and store.newer("main") is None
    store.note_newer("main", older)
    os.utime(notes(repo, cache) / "newer" / "main", (1, 1))
    assert store.newer("main") is None


def test_a_hub_that_is_down_is_not_asked_for_the_newer_version_that_it_named(hub, repo, pipe, cache, wait_long):
    old = pixels(repo, cache_dir=cache)
    store = Store(repo, cache)
    commit = new_version(repo, pipe, cache.parent)
    store.note_newer("main", ask(repo, Source()))
    assert store.newer("main").id == commit
    hub.requests.clear()
    hub.fault(".*", status=503, times=1000)
    assert pixels(repo, cache_dir=cache) == old
    assert hub.requests and not hub.log(NEEDED)


@pytest.mark.parametrize("fault", [{"status": 503}, {"kind": "drip", "after": 50, "seconds": 0.02}])
def test_a_newer_version_that_cant_be_fetched_leaves_the_copy(
    hub, repo, pipe, cache, wait_long, monkeypatch, caplog, fault
):
    monkeypatch.setattr("ganhub.download.PATIENCE_WITH_COPY", 0.1)
    old = pixels(repo, cache_dir=cache)
    commit = new_version(repo, pipe, cache.parent)
    hub.fault(WEIGHTS, times=1000, **fault)
    start = time.monotonic()
    with caplog.at_level(logging.WARNING, "ganhub"):
        assert pixels(repo, cache_dir=cache) == old
    assert time.monotonic() - start < 3
    assert f"its version {commit[:7]} can't be fetched" in caplog.text
    hub.faults.clear()
    assert pixels(repo, cache_dir=cache) != old


@pytest.mark.parametrize("text", ["x", "-1", "nan"])
def test_a_patience_that_is_no_number(repo, cache, text, monkeypatch):
    GANPipeline.from_pretrained(repo, cache_dir=cache)
    monkeypatch.setenv("GANHUB_PATIENCE", text)
    with pytest.raises(UserError, match=f"GANHUB_PATIENCE={text}: must be a number of seconds"):
        GANPipeline.from_pretrained(repo, cache_dir=cache)


def test_what_rotted_in_the_cache_is_fetched_again(hub, repo, model, cache):
    folder = resolve(repo, cache_dir=cache)
    weights = folder / "generator" / "diffusion_pytorch_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.resolve().write_bytes(data)
    with pytest.raises(UserError, match="not whole in the cache"):
        pixels(repo, cache_dir=cache, local_files_only=True)
    assert pixels(repo, cache_dir=cache) == pixels(model)


def test_refusals_are_definite_even_with_a_copy(hub, repo, cache, wait_long):
    pixels(repo, cache_dir=cache)
    settings = HfApi()
    settings.update_repo_settings(repo, private=True)
    with pytest.raises(UserError, match="the Hub doesn't accept this token; .*hf auth login"):
        pixels(repo, cache_dir=cache, token="hf_nobody")
    with pytest.raises(UserError, match=f"{repo}: no such model .* no such folder here; or .*HF_TOKEN"):
        pixels(repo, cache_dir=cache, token=False)
    assert pixels(repo, cache_dir=cache, token="hf_alice_read")


def test_a_gated_repo_says_where_its_terms_are(hub, repo, cache):
    HfApi().update_repo_settings(repo, gated="auto")
    with pytest.raises(UserError, match=f"{repo}: is gated; accept its terms at http.*/{repo}, and set HF_TOKEN"):
        pixels(repo, cache_dir=cache, token="hf_bob_write")


@pytest.mark.parametrize("token", ["hf_a b", "hf_\u00e9", "hf_x\n"])
def test_a_token_that_can_be_none_is_not_repeated(repo, cache, token):
    with pytest.raises(UserError, match="the Hub token has characters that none has") as caught:
        pixels(repo, cache_dir=cache, token=token)
    assert token not in str(caught.value)


def test_a_token_is_looked_at_only_where_it_would_be_sent(repo, model, cache, wait_long, monkeypatch, caplog):
    monkeypatch.setenv("HF_TOKEN", "hf_\u00e9")
    with pytest.raises(UserError, match=f"{repo}: the Hub token has characters that none has"):
        pixels(repo, cache_dir=cache)
    assert pixels(repo, cache_dir=cache, token=False) == pixels(model)
    assert pixels(repo, cache_dir=cache, local_files_only=True) == pixels(model)
    with caplog.at_level(logging.WARNING, "ganhub"):
        assert pixels(repo, cache_dir=cache) == pixels(model)
    assert "the Hub can't be asked (the Hub token has characters that none has; set HF_TOKEN" in caplog.text
    assert "\u00e9" not in caplog.text


@pytest.mark.parametrize(
    "trouble, words",
    [
        ("file", r"the Hub token can't be had \(.*Is a directory.*\); set HF_TOKEN or run `hf auth login`"),
        ("oidc", r"the Hub token can't be had \(HF_OIDC_RESOURCE is set but .*\); set HF_TOKEN"),
        ("none", "token=True, but there is no Hub token; set HF_TOKEN or run `hf auth login`"),
    ],
)
def test_a_token_that_cant_be_had_is_one_line(repo, model, cache, wait_long, trouble, words, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    if trouble == "file":
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(cache.parent))
    elif trouble == "oidc":
        monkeypatch.setenv("HF_OIDC_RESOURCE", repo)
        for name in ("HF_OIDC_ID_TOKEN", "GITHUB_ACTIONS"):
            monkeypatch.delenv(name, raising=False)
    token = True if trouble == "none" else None
    with pytest.raises(UserError, match=f"^{repo}: {words}") as caught:
        pixels(repo, cache_dir=cache, token=token)
    assert "\n" not in str(caught.value)
    pixels(repo, cache_dir=cache, token=False)
    assert pixels(repo, cache_dir=cache, token=token) == pixels(model)


def test_certificates_that_arent_there_leave_the_copy(repo, model, cache, wait_long, monkeypatch, caplog):
    pixels(repo, cache_dir=cache)
    monkeypatch.setenv("SSL_CERT_FILE", "/missing.pem")
    close_session()
    with caplog.at_level(logging.WARNING, "ganhub"):
        assert pixels(repo, cache_dir=cache) == pixels(model)
    assert "the Hub can't be asked; using the copy" in caplog.text
    words = rf"^{repo}: the Hub can't be asked \(No such file or directory\); check SSL_CERT_FILE"
    with pytest.raises(UserError, match=words):
        pixels(repo, cache_dir=cache.parent / "other")


def test_a_cache_that_cant_be_written_is_called_so(repo, cache):
    cache.write_text("a file")
    with pytest.raises(UserError, match=rf"^{repo}: the cache can't be written \(Not a directory\); make room or set"):
        pixels(repo, cache_dir=cache)


def test_a_disk_without_links_holds_files(hub, repo, model, cache, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "symlink", refuse)
    monkeypatch.setattr(os, "link", refuse)
    assert pixels(repo, cache_dir=cache) == pixels(model)
    assert pixels(repo, cache_dir=cache, local_files_only=True) == pixels(model)
    assert not [file for file in cache.rglob("*") if file.is_symlink()]


def test_what_hf_fetched_loads_without_asking_and_hf_finds_what_we_fetched(hub, repo, model, cache):
    snapshot_download(repo, cache_dir=cache / "theirs")
    folder = resolve(repo, cache_dir=cache / "ours", discriminator=True)
    hub.requests.clear()
    assert pixels(repo, cache_dir=cache / "theirs", local_files_only=True) == pixels(model)
    assert snapshot_download(repo, cache_dir=cache / "ours", local_files_only=True) == str(folder)
    assert asked(hub, repo) == [] and not scan_cache_dir(cache / "ours").warnings


def test_what_another_program_left_out_is_fetched(repo, cache, wait_long):
    """Plain diffusers takes the networks alone, and of its copy the cache knows only these."""
    theirs = snapshot_download(repo, cache_dir=cache, allow_patterns=["model_index.json", "generator/*"])
    assert not (Path(theirs) / "README.md").exists()
    folder = resolve(repo, cache_dir=cache)
    assert str(folder) == theirs and (folder / "README.md").is_file()


@pytest.mark.parametrize("part", [["model_index.json", "generator/*"], None])
def test_a_commit_that_another_program_fetched_is_completed_and_then_needs_no_request(
    hub, repo, cache, wait_long, part
):
    commit = HfApi().repo_info(repo).sha
    snapshot_download(repo, revision=commit, cache_dir=cache, allow_patterns=part)
    assert (resolve(repo, commit, cache_dir=cache) / "README.md").is_file()
    hub.requests.clear()
    assert (resolve(repo, commit, cache_dir=cache) / "README.md").is_file()
    assert asked(hub, repo) == []


def test_many_at_once_share_one_cache(repo, model, cache):
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: resolve(repo, cache_dir=cache), range(8)))
    assert len(set(folders)) == 1 and pixels(repo, cache_dir=cache, local_files_only=True) == pixels(model)
    assert not list(cache.rglob("*.incomplete")) and not list(cache.glob("*/ganhub/.*"))


def test_a_model_without_its_card_serves_while_the_hub_is_away_and_gets_it_afterwards(hub, repo, cache, caplog):
    pixels(repo, cache_dir=cache)
    hub.fault(".*", status=503, times=1000)
    with caplog.at_level(logging.WARNING, "ganhub"):
        folder = resolve(repo, cache_dir=cache)
    assert not (folder / "README.md").exists() and "from the cache" in caplog.text
    hub.faults.clear()
    assert (resolve(repo, cache_dir=cache) / "README.md").is_file()
