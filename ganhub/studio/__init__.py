"""The Gradio app: pick a GAN, press Generate, share the address.

Two files to read first: `app` puts the page together, `generate` is its main tab. To add a tab, write one file with a
`build(page)` and add one line to `TABS` in `app`.
"""

import os

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported, so it must come first

from ganhub.studio.port import choose_port

choose_port()  # gradio reads GRADIO_SERVER_PORT as well, and would answer nonsense with a traceback

from ganhub.studio.app import build, launch  # noqa: E402

__all__ = ["build", "launch"]
