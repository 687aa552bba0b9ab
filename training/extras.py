"""What a model folder may carry on top, for those who load it without ganhub: plain diffusers, an endpoint, ONNX."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Extras:
    """Options of `export` and `publish`."""

    standalone: bool = False
    """Add Python files with which plain diffusers loads the model where there is no ganhub (trust_remote_code=True)."""
    handler: bool = False
    """Add handler.py and requirements.txt for hosted inference endpoints; --standalone comes with it."""
    onnx: bool = False
    """Add the generator as generator.onnx, checked against PyTorch."""


def add_extras(folder: Path, options: Extras, name: str = "") -> None:
    """Write into a model folder what was asked for; the same folder always gets the same bytes.

    Args:
        folder: a model folder.
        options: what to add.
        name: of the model, noted in the ONNX file; the folder's when left out.

    Raises:
        UserError: it is no model folder, can't be written, or can't be exported as ONNX.
    """
    from ganhub import standalone
    from training import onnx_export

    if options.handler:
        standalone.write_handler(folder)
    elif options.standalone:
        standalone.write(folder)
    if options.onnx:
        onnx_export.write(folder, name=name)
