"""A download that is killed, or finds the disk full: the cache stays whole and the next call succeeds."""

import os
import random
import resource
import signal
import time

import pytest
from huggingface_hub import scan_cache_dir

from ganhub import GANPipeline, UserError
from ganhub.download import Source, download
from ganhub.layout import Wanted

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def pixels(name, **options):
    return [image.tobytes() for image in GANPipeline.from_pretrained(name, **options)(4).images]


def in_child(work):
    """Fork: importing torch again would take seconds. `work` runs there; its pid comes back."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            os._exit(9 if isinstance(error, UserError) and "make room" in str(error) else 1)
    return pid


def wait_for(pid):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_killed_at_any_moment_the_next_call_succeeds(hub, repo, model, tmp_path):
    expected, random_ = pixels(model), random.Random(0)
    start = time.monotonic()
    assert wait_for(in_child(lambda: download(repo, Wanted(), Source(cache_dir=tmp_path / "whole")))) == 0
    whole = time.monotonic() - start
    killed = 0
    for i in range(30):
        cache = tmp_path / f"cache{i % 5}"  # some begin with what another left
        if i >= 5 and i % 2:
            hub.fault("/cdn/", kind="drop", after=random_.randrange(8000))
        pid = in_child(lambda cache=cache: download(repo, Wanted(), Source(cache_dir=cache)))
        time.sleep(random_.uniform(0, whole))
        os.kill(pid, signal.SIGKILL)
        killed += wait_for(pid) == -signal.SIGKILL
        hub.faults.clear()
        assert pixels(repo, cache_dir=cache) == expected
        assert not scan_cache_dir(cache).warnings
        if i % 3 == 0:  # begin from nothing the next time
            for file in cache.rglob("*"):
                if file.is_symlink():
                    file.unlink()
    assert killed > 15


@pytest.mark.parametrize("room", [0, 100, 3000, 9000])
def test_a_full_disk_is_one_line_and_leaves_the_cache_whole(repo, model, tmp_path, room):
    cache = tmp_path / "cache"

    def work():
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        download(repo, Wanted(), Source(cache_dir=cache))

    assert wait_for(in_child(work)) == 9
    assert pixels(repo, cache_dir=cache) == pixels(model)
    assert not list(cache.rglob("*.incomplete"))
