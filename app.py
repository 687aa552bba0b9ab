"""The Space's entry point: the studio on the GANs of the zoo. Locally: `python app.py`."""

import sys

from ganhub.errors import UserError
from ganhub.studio import launch

if __name__ == "__main__":
    try:
        launch()
    except UserError as error:
        sys.exit(f"ganhub: {error}")
