"""Published models, for the tests that load from the Hub's stand-in."""

import re
import uuid

import pytest
from huggingface_hub import HfApi


@pytest.fixture
def repo(hub, model, request):
    """A published model repo of its own for each test."""
    words = re.sub("[^a-z]+", "-", request.node.name)[:40].strip("-")
    name = f"alice/{words}-{uuid.uuid4().hex[:6]}"
    (model / "README.md").write_text("---\nlibrary_name: ganhub\n---\n# a card\n")
    api = HfApi()
    api.create_repo(name)
    api.upload_folder(repo_id=name, folder_path=model)
    hub.requests.clear()
    return name
