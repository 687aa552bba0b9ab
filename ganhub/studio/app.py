"""The page: a title, the model picker, and the tabs."""

import os
from collections.abc import Sequence

import gradio as gr

from ganhub.errors import UserError
from ganhub.studio import about, generate, history, play
from ganhub.studio.models import load_models
from ganhub.studio.page import PLAY, Page
from ganhub.studio.port import choose_port
from ganhub.studio.theme import CSS, HEAD, THEME

TABS = {
    "Generate": generate.build,
    PLAY: play.build,
    "Training": history.build,
    "About": about.build,
}
MAX_WAITING = 64  # events; more are told that the studio is busy
MAX_VISITS = 500  # that gradio keeps the components' values of; an older one begins anew with what its page sends
HOUR = 3600
TITLE = """# ganhub studio
Small GANs, drawing live. Pick one, try new seeds, share the link."""


def build(models: Sequence[str] | None = None, lenient: bool = False) -> gr.Blocks:
    """The studio, ready to launch.

    Args:
        models: names as GANPipeline.from_pretrained takes them; None means every GAN of the zoo.
        lenient: log what can't be loaded, and show the others.

    Raises:
        UserError: a model can't be loaded, or there is none.
    """
    loaded = load_models(models, lenient)
    with gr.Blocks(title="ganhub studio", delete_cache=(HOUR, HOUR), fill_width=True) as blocks:
        gr.Markdown(TITLE, elem_id="masthead")
        choices = [(f"{model.name}\n{model.summary}", model.name) for model in loaded.values()]
        picker = gr.Radio(choices, value=choices[0][1], show_label=False, label="Model", elem_id="picker")
        picked = gr.Textbox(visible="hidden")
        with gr.Tabs() as tabs:
            for title, build_tab in TABS.items():
                with gr.Tab(title, id=title) as tab:
                    build_tab(Page(loaded, picker, picked, tabs, tab, blocks))
    return blocks.queue(max_size=MAX_WAITING, default_concurrency_limit=2)


def launch(
    models: Sequence[str] | None = None,
    host: str | None = None,
    port: int | None = None,
    block: bool = True,
    lenient: bool = False,
) -> gr.Blocks:
    """Build the studio and serve it.

    Args:
        models, lenient: as `build`.
        host: default GRADIO_SERVER_NAME, else every interface on a Space and 127.0.0.1 elsewhere.
        port: None means GRADIO_SERVER_PORT, else 7860.
        block: serve until interrupted, or return at once and serve from a thread.

    Raises:
        UserError: as `build`, or the port is none or taken.
    """
    port = choose_port(port)
    blocks = build(models, lenient)
    host = host or os.environ.get("GRADIO_SERVER_NAME") or ("0.0.0.0" if os.environ.get("SPACE_ID") else "127.0.0.1")
    try:
        blocks.launch(
            server_name=host, server_port=port, prevent_thread_lock=not block, theme=THEME, css=CSS, head=HEAD,
            footer_links=["api"], run_history=False, ssr_mode=False, share=False, quiet=not block,
            state_session_capacity=MAX_VISITS, max_file_size="1kb",  # nobody has anything to upload
        )  # fmt: skip
    except OSError as error:
        raise UserError(
            f"port {port} of {host} is taken or not allowed; give another with --port or GRADIO_SERVER_PORT"
        ) from error
    return blocks
