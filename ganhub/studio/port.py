"""Where the studio listens. Imports no gradio, whose import fails on a GRADIO_SERVER_PORT that is no number."""

import os
import re

from ganhub.errors import UserError


def choose_port(port: int | None = None) -> int:
    """The given port, else GRADIO_SERVER_PORT, else 7860.

    Raises:
        UserError: it is no number from 1 to 65535.
    """
    name, text = "GRADIO_SERVER_PORT", os.environ.get("GRADIO_SERVER_PORT", "7860")
    if port is not None:
        name, text = "port", str(port)
    if not re.fullmatch("[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise UserError(f"{name} must be a whole number from 1 to 65535, got {text!r}")
    return int(text)
