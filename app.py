"""The Space's entry point: the studio on the GANs of the zoo. Locally: `python app.py`."""

import sys

from ganhub.errors import UserError

if __name__ == "__main__":
    try:
        from ganhub.studio import launch  # which refuses a port of nonsense before gradio reads it

        launch()
    except UserError as error:
        sys.exit(f"ganhub: {error}")
