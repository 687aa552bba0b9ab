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
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    pytest.fail("the download hangs")


def test_killed_at_30_random_moments_the_next_call_succeeds(hub, repo, model, tmp_path):
    """Before the answer to some request, or in the middle of the weights; half of them begin with what another left."""
    expected, random_, killed, children = pixels(model), random.Random(0), 0, []
    for i in range(60):
        cache = tmp_path / f"cache{i // 2}"
        place = {"match": ".*", "skip": random_.randrange(7)} if i % 3 else {"match": "/cdn/"}
        after = 0 if i % 3 else random_.randrange(1, 20_000)
        hub.fault(kind="drop", after=after, call=lambda: os.kill(children[-1], signal.SIGKILL), **place)
        with hub.lock:  # no request is answered before the child is known
            children.append(in_child(lambda cache=cache: download(repo, Wanted(), Source(cache_dir=cache))))
        ended = wait_for(children[-1])
        killed += ended == -signal.SIGKILL
        assert ended in (0, -signal.SIGKILL)  # with half of the files there already, few requests are made
        hub.faults.clear()
        if i % 2:
            assert pixels(repo, cache_dir=cache) == expected
            assert not scan_cache_dir(cache).warnings
        if killed == 30:
            break
    assert killed == 30


@pytest.mark.parametrize("room", [0, 100, 3000, 9000])
def test_a_full_disk_is_one_line_and_leaves_the_cache_whole(repo, model, tmp_path, room):
    cache = tmp_path / "cache"

    def work():
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        download(repo, Wanted(), Source(cache_dir=cache))

    assert wait_for(in_child(work)) == 9
    assert pixels(repo, cache_dir=cache) == pixels(model)
    assert not list(cache.rglob("*.incomplete"))
