"""How the studio looks: fonts that are already on the visitor's machine, crisp pixels, one column on a phone."""

import gradio as gr

from ganhub.studio.state import KEYS

FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "DejaVu Sans", "sans-serif"]
MONO = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace"]

THEME = gr.themes.Soft(
    primary_hue="violet", secondary_hue="violet", neutral_hue="slate", font=FONTS, font_mono=MONO
).set(
    block_title_background_fill="none",
    block_title_background_fill_dark="none",
    block_title_text_color="*body_text_color",
    block_title_text_color_dark="*body_text_color",
    block_title_padding="0",
    body_background_fill="*neutral_50",
    body_text_color_subdued="*neutral_500",
    input_border_width="1px",
    input_border_color="*border_color_primary",
    button_border_width="1px",
    button_secondary_border_color="*border_color_primary",
    button_primary_background_fill="*primary_600",
    button_primary_background_fill_hover="*primary_700",
    checkbox_label_background_fill_selected="*primary_50",
    checkbox_label_background_fill_selected_dark="*primary_950",
    checkbox_label_text_color_selected="*body_text_color",
    checkbox_label_text_color_selected_dark="*body_text_color",
    checkbox_label_border_width="2px",
    checkbox_label_border_color="*border_color_primary",
    checkbox_label_border_color_selected="*primary_500",
    checkbox_label_border_color_selected_dark="*primary_500",
)

# An address with settings brings other pictures than the page begins with, so these stay hidden until it has.
RESTORING = """<script>
if (KEYS.some((key) => new URLSearchParams(location.search).has(key)))
    document.documentElement.classList.add("restoring");
</script>""".replace("KEYS", str(list(KEYS)))
# A stranger's model card must not make the visitor's browser load anything from elsewhere.
POLICY = """<meta http-equiv="Content-Security-Policy"
 content="img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:">"""
HEAD = RESTORING + POLICY

CSS = """
.gradio-container { min-width: 0; overflow: clip !important; }  /* hidden, nothing in it could be sticky */
.gradio-container .app { max-width: 980px !important; padding: 16px 28px !important; }
#masthead .md { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0 16px; }
#masthead h1 { font-size: 1.9rem; font-weight: 750; letter-spacing: -0.02em; margin: 0 0 2px; }
#masthead p, #status p { color: var(--body-text-color-subdued); margin: 0; }
#status p { font-size: 0.85rem; font-variant-numeric: tabular-nums; }

/* the picker: one card a model, its name on the first line and a sentence below */
.form:has(> #picker) { background: none; border: none; box-shadow: none; overflow: visible; }
#picker { padding: 0; border: none; background: none; box-shadow: none; overflow: visible !important; }
#picker .wrap { display: grid; grid-template-columns: repeat(auto-fill, minmax(210px, 1fr)); gap: 10px; }
#picker label { align-items: flex-start; padding: 10px 14px; border-radius: 12px; box-shadow: none; }
#picker label:has(input:focus-visible) { outline: 3px solid var(--primary-500); outline-offset: 1px; }
#picker input { position: absolute; opacity: 0; }
@media (forced-colors: active) { #picker label:has(input:checked) { outline: 3px solid Highlight; } }
#picker span { display: block; margin: 0; white-space: pre-line; font-weight: 400; font-size: 0.85rem;
    line-height: 1.4; }
#picker span::first-line { font-weight: 650; font-size: 1rem; }

/* true pixels, shown big, and the whole grid on one screen */
#gallery { background: none; border-width: 0 !important; border-radius: 0; box-shadow: none;
    overflow: visible !important; }
.restoring #gallery { animation: restoring 5s; }  /* no longer, whatever happens */
@keyframes restoring { from, to { visibility: hidden; } }
#gallery img { image-rendering: pixelated; }
#gallery .caption-label { display: none; }
#gallery .grid-wrap { min-height: 0; max-height: none; overflow: visible; padding: 0; }
#gallery .grid-container { grid-template: none / repeat(var(--grid-cols), minmax(0, 1fr)); grid-auto-rows: auto;
    gap: 6px; padding: 0; max-width: max(340px, calc(100vh - 300px)); }
#gallery .thumbnail-item { height: auto; min-height: 0; aspect-ratio: 1; border-radius: 6px; box-shadow: none; }
#gallery .gallery-item { height: auto; min-height: 0; }
#gallery .preview { background: var(--body-background-fill); }
.result:has(#played) { position: sticky; top: 8px; align-self: flex-start; z-index: var(--layer-5); }
#played { background: var(--body-background-fill); gap: 0; }
#played figure { margin: 0 0 14px; }
#played img { image-rendering: pixelated; width: 100%; border-radius: 6px; }
#played .played { max-width: max(300px, calc(100vh - 460px)); }
#played figcaption { display: flex; flex-wrap: wrap; gap: 0 14px; color: var(--body-text-color-subdued);
    font-size: 0.85rem; font-variant-numeric: tabular-nums; }
#history img { max-height: max(340px, calc(100vh - 440px)); object-fit: contain; }
#card img { max-width: 100%; height: auto; }
#card table { display: block; width: fit-content; max-width: 100%; overflow-x: auto; }  /* scrolls on a phone */
#card th, #card td { word-break: normal; overflow-wrap: normal; min-width: 4.5em; }
#card .md > p:first-child { color: var(--body-text-color-subdued); font-size: 0.9rem; }
#status .wrap:has(.error) { display: none; }  /* the toast says what is wrong */
footer .divider { display: none !important; }
.actions { gap: 10px !important; }
.actions button { min-width: 0 !important; }
.summary { align-items: center; max-width: max(340px, calc(100vh - 300px)); }
.summary button { flex: 0 0 auto !important; padding: 6px 12px; }

@media (max-width: 640px) {
    .gradio-container .app { padding: 10px 12px !important; }
    #masthead h1 { font-size: 1.4rem; }
    #picker .wrap { grid-template-columns: 1fr 1fr; gap: 8px; max-height: 35vh; overflow-y: auto; padding: 4px; }
    #picker label { padding: 6px 10px; }
    #picker span { display: -webkit-box; -webkit-line-clamp: 3; -webkit-box-orient: vertical; overflow: hidden;
        font-size: 0.75rem; }
    #status { flex: 1 1 100%; }
    .summary button { flex: 1 1 0 !important; }
    .workbench { flex-direction: column; }
    .workbench .result { order: -1; }
    .result:has(#played) { top: 0; }
    #played figure { margin: 0 0 6px; }
    #played .played { max-width: min(28vh, 240px); }
    .workbench > * { width: 100%; min-width: 0 !important; }
    .tabitem { padding: 8px 0 !important; }
}
"""
