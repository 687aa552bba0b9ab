"""What every tab shares: the models, the picker above the tabs, and how errors reach a visitor."""

import html
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from ganhub.errors import UserError
from ganhub.studio.models import Model
from ganhub.studio.state import EVERY_CLASS

log = logging.getLogger(__name__)

RESTORED = "() => document.documentElement.classList.remove('restoring')"  # see theme.RESTORING
PLAY = "Play"  # the tab that pictures are taken to

# Events that run a generator: raw values, since state.check reads them; and one after the other, so that what was asked
# for last is also shown last. One drawing uses all cores.
DRAWS: dict[str, Any] = {"preprocess": False, "concurrency_id": "draw", "concurrency_limit": 1}


@dataclass(frozen=True)
class Page:
    """Handed to the `build` of each tab."""

    models: dict[str, Model]
    picker: gr.Radio
    picked: gr.Textbox
    """The address of one picture that is to be played with."""
    tabs: gr.Tabs
    tab: gr.Tab
    """The one that is being built."""
    blocks: gr.Blocks

    def handler(self, function: Callable, markup: bool = True) -> Callable:
        """`function(models, *values)` as a Gradio event handler of the values, as `guarded` has it."""
        return guarded(lambda *values: function(self.models, *values), function.__name__, markup)

    def on_load(self, function: Callable, outputs: list[gr.Component], progress: gr.Component) -> None:
        """Call `function(models, query)` with the address's query when the page opens.

        Args:
            progress: shows that it is being worked on.
        """
        run = self.handler(function)

        def load(request: gr.Request) -> Any:
            return run(dict(request.query_params))

        loaded = self.blocks.load(
            load, None, outputs, show_progress="minimal", show_progress_on=progress, api_visibility="private", **DRAWS
        )
        for ended in (loaded.success, loaded.failure):
            ended(None, None, None, js=RESTORED, api_visibility="private")


def class_selector(model: Model, value: str | None, every: bool = False) -> dict[str, Any]:
    """What a selector of classes shows; it is hidden when the model has none.

    Args:
        every: it begins with every class in turn.
    """
    choices = [("Every class in turn", EVERY_CLASS)] * every + [(name, name) for name in model.classes]
    # a filter opens the keyboard of a phone, so only a long list has one
    return {"choices": choices, "value": value, "visible": bool(model.classes), "filterable": len(choices) > 20}


def guarded(handler: Callable, name: str, markup: bool = True) -> Callable:
    """The handler, with a UserError shown in its own words, and any other error logged and shown without details.

    Args:
        markup: the message becomes HTML, so what visitors send and models name is escaped; not so for the API.
    """

    def safe(*values: Any) -> Any:
        try:
            return handler(*values)
        except UserError as error:
            text = html.escape(str(error), quote=False) if markup else str(error)
            raise gr.Error(text, print_exception=False) from error
        except Exception as error:
            log.exception("%s failed", name)
            raise gr.Error("Something went wrong on our side. Please try again.", print_exception=False) from error

    return safe


def notice(problems: list[str]) -> None:
    """Tell the visitor gently which parts of the address were not used."""
    if problems:
        lines = ["Part of this address was not used:", *problems]
        gr.Warning("<br>".join(html.escape(line, quote=False) for line in lines))
