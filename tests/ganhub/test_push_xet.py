"""The client's other two ways of sending large files: in parts, and through Xet, which it chooses at import."""

import os
import subprocess
import sys
from pathlib import Path

from ganhub.push import push
from tests.ganhub.pushing import commits, held, shown, write_folder

XET = """
import os, sys
from pathlib import Path
from tests.hub_server import HubServer

with HubServer(xet=True) as hub:
    os.environ.update(HF_ENDPOINT=hub.endpoint, HF_HUB_DISABLE_XET="0", GANHUB_PATIENCE="10")
    from ganhub import GANPipeline, UserError
    from ganhub.hub import ZOO
    from ganhub.publish import publish
    from ganhub.push import push
    from tests.ganhub.pushing import commits, held, shown, write_folder

    publish(ZOO / "digits", "alice/digits", tag="v1")
    assert hub.log("xet-write-token") and not hub.log("objects/batch"), "not through Xet"
    draw = lambda name, **options: [p.tobytes() for p in GANPipeline.from_pretrained(name, **options)(4).images]
    assert draw("alice/digits", revision="v1") == draw("digits"), "other pixels"
    assert not publish(ZOO / "digits", "alice/digits", tag="v1").differs, "a second commit"

    folder = write_folder(Path(sys.argv[1], "model"))
    hub.fault("GET .*xet-write-token", status=403)
    try:
        push(folder, "alice/model")
        raise SystemExit("pushed all the same")
    except UserError as error:
        assert str(error).startswith("alice/model: this token may not do that"), error
    hub.fault("POST .*/commit/", kind="lost")
    push(folder, "alice/model")
    assert shown(hub, "alice/model") == held(folder) and commits(hub, "alice/model") == 2
    print("done")
"""


def test_through_xet(tmp_path):
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home"), "PYTHONPATH": str(Path.cwd())}
    words = [sys.executable, "-c", XET, str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    assert done.stdout == "done\n", done.stderr[-2000:]


def test_in_parts(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "multipart_chunk", 1000)
    folder = write_folder(tmp_path / "model")
    push(folder, "alice/parts")
    assert len(hub.log("PUT")) == 4 + 3 and len(hub.log("objects/complete")) == 2
    assert shown(hub, "alice/parts") == held(folder)
    write_folder(folder, 2)
    hub.fault("PUT .*/cdn/.*/2", kind="drop")
    push(folder, "alice/parts")
    assert shown(hub, "alice/parts") == held(folder) and commits(hub, "alice/parts") == 3
