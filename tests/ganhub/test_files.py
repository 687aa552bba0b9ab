"""Text files are the same bytes on every system."""

from pathlib import Path

import pytest

from ganhub import space
from ganhub.files import write_text
from ganhub.store import Blob, Commit, Store


@pytest.fixture(autouse=True)
def windows(monkeypatch):
    """Where a text file has \\r\\n unless its writer says otherwise."""
    plain = Path.open

    def opened(self, mode="r", buffering=-1, encoding=None, errors=None, newline=None):
        ends = "\r\n" if newline is None and "w" in mode and "b" not in mode else newline
        return plain(self, mode, buffering, encoding, errors, ends)

    monkeypatch.setattr(Path, "open", opened)


def test_lines_end_alike_on_every_system(tmp_path):
    write_text(tmp_path / "card.md", "a\nb\n")
    store = Store("a/b", tmp_path)
    store.remember(Commit("0" * 40, {"README.md": Blob(1, "1" * 40)}))
    (tmp_path / "space").mkdir()
    space.write(tmp_path / "space", [space.Shown("a/b")], "x")
    texts = [tmp_path / "card.md", *store.folder.glob("ganhub/*.json")]
    texts += [tmp_path / "space" / name for name in ("app.py", "README.md", "requirements.txt")]
    assert len(texts) == 5 and all(b"\n" in (data := file.read_bytes()) and b"\r" not in data for file in texts)
