"""The studio as a visitor sees it, in a real Chromium, on a desktop and on a phone. Screenshots go to artifacts/."""

import base64
import io
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

from ganhub import hub
from ganhub.pipeline import GANPipeline
from ganhub.studio.history import ABOUT
from tests.studio.conftest import PATIENCE, connect, serve

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARTIFACTS = Path(__file__).parents[2] / "artifacts"
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]

expect.set_options(timeout=PATIENCE * 1000)  # what is there is seen at once

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; install chromium to run the browser tests")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def contexts(browser: Browser) -> dict[str, BrowserContext]:
    """The three visitors; each keeps the app's scripts in its cache between tests."""
    visitors = {
        "desktop": browser.new_context(viewport=DESKTOP),
        "phone": browser.new_context(viewport=PHONE, has_touch=True),
        "dark": browser.new_context(viewport=DESKTOP, color_scheme="dark"),
    }
    visitors["desktop"].grant_permissions(["clipboard-read", "clipboard-write"])
    for context in visitors.values():
        context.set_default_timeout(PATIENCE * 1000)
    return visitors


@pytest.fixture
def visit(contexts: dict[str, BrowserContext], studio: str) -> Iterator[Callable[..., Page]]:
    """Open a query of the studio, or of the one at `address`.

    At the end of every test: no other host was called, and no script failed.
    """
    requests, failures, pages = [], [], []

    def open_page(query: str = "", visitor: str = "desktop", address: str = studio) -> Page:
        page = contexts[visitor].new_page()
        pages.append(page)
        page.on("request", lambda request: requests.append(request))
        page.on("pageerror", lambda error: failures.append(str(error)))
        page.goto(address + query)
        page.wait_for_function("!document.documentElement.classList.contains('restoring')")
        expect(pictures(page).first).to_be_visible()
        return page

    yield open_page
    for page in pages:
        page.close()
    hosts = {urlsplit(request.url).hostname for request in requests if request.failure != "csp"}  # which sends nothing
    assert hosts - {None} == {"127.0.0.1"}  # None: data: and blob: addresses
    assert failures == []


def pictures(page: Page) -> Locator:
    return page.locator("#gallery .thumbnail-item img")


def seed_field(page: Page) -> Locator:
    return page.get_by_role("spinbutton", name="Seed")


def class_selector(page: Page) -> Locator:
    return page.get_by_role("combobox", name="Class")


def pick(page: Page, model: str) -> None:
    page.locator("#picker label").filter(has_text=re.compile(rf"^\s*{model}")).click()


def expect_address(page: Page, query: str) -> None:
    expect(page).to_have_url(re.compile(re.escape(query) + "$"))


def shown_pixels(page: Page) -> list[np.ndarray]:
    """What the gallery's files hold."""
    expect(pictures(page).last).to_be_visible()
    sources = [image.get_attribute("src") for image in pictures(page).all()]
    return [np.asarray(Image.open(io.BytesIO(page.request.get(source).body()))) for source in sources]


def test_the_first_look(visit: Callable[..., Page], pipelines: dict[str, GANPipeline]) -> None:
    page = visit()
    expect(pictures(page)).to_have_count(16)
    for shown, expected in zip(shown_pixels(page), pipelines["digits"](num_images=16, seed=0).images):
        assert np.array_equal(shown, np.asarray(expected))
    expect(page.locator("#picker")).to_contain_text("Handwritten digits in ten classes, for tests.")
    expect(page.locator("#status")).to_contain_text("16 pictures · seeds 0 to 15")
    expect(page.get_by_role("button", name="Download all")).to_be_in_viewport(ratio=1)
    page.screenshot(path=ARTIFACTS / "studio-desktop.png")


def test_an_address_brings_everything_back(visit: Callable[..., Page], pipelines: dict[str, GANPipeline]) -> None:
    page = visit("?model=digits&label=7&seed=42&n=4&truncation=0.5")
    expect(pictures(page)).to_have_count(4)
    expected = pipelines["digits"](num_images=4, labels=7, seed=42, truncation=0.5).images
    assert all(np.array_equal(a, np.asarray(b)) for a, b in zip(shown_pixels(page), expected))
    expect(seed_field(page)).to_have_value("42")
    expect(class_selector(page)).to_have_value("7")
    expect(page.get_by_role("slider", name="Pictures")).to_have_value("4")
    expect(page.get_by_role("slider", name="Truncation")).to_have_value("0.5")
    expect_address(page, "?model=digits&label=7&seed=42&n=4&truncation=0.5")


def test_an_address_of_nonsense_gives_a_notice_and_pictures(visit: Callable[..., Page]) -> None:
    page = visit("?model=<b>cats&seed=-5&n=lots&seed=7")
    expect(pictures(page)).to_have_count(16)
    toast = page.get_by_test_id("toast-body")
    expect(toast).to_contain_text("Part of this address was not used")
    expect(toast).to_contain_text("model must be one of digits, frogs, got '<b>cats'")
    expect_address(page, "?model=digits&seed=7")


def test_the_class_selector_is_there_for_classes_only(visit: Callable[..., Page]) -> None:
    page = visit("?label=two&seed=3")
    pick(page, "frogs")
    expect_address(page, "?model=frogs&seed=3")
    expect(class_selector(page)).to_be_hidden()
    pick(page, "digits")
    expect_address(page, "?model=digits&seed=3")
    class_selector(page).click()
    page.get_by_role("option", name="eight").click()
    expect_address(page, "?model=digits&label=eight&seed=3")
    expect(pictures(page).first).to_have_attribute("alt", "eight · seed 3")


def test_seed_dice_and_sliders_draw_at_once(visit: Callable[..., Page]) -> None:
    page = visit()
    seed_field(page).fill("12")
    expect_address(page, "?model=digits&seed=12")
    page.get_by_role("button", name="New seed").click()
    expect(seed_field(page)).not_to_have_value("12")
    expect_address(page, f"?model=digits&seed={seed_field(page).input_value()}")
    seed = seed_field(page).input_value()
    page.get_by_role("slider", name="Pictures").focus()
    page.keyboard.press("ArrowRight")
    expect(pictures(page)).to_have_count(17)
    expect_address(page, f"?model=digits&seed={seed}&n=17")


def test_what_was_asked_for_last_is_shown_last(visit: Callable[..., Page]) -> None:
    page = visit()
    expect(pictures(page)).to_have_count(16)
    page.get_by_role("spinbutton", name="Pictures").fill("64")  # takes its time
    pick(page, "frogs")
    page.locator("#dice").click()
    expect(seed_field(page)).not_to_have_value("0")
    seed = seed_field(page).input_value()
    page.get_by_role("button", name="Generate").click()
    expect_address(page, f"?model=frogs&seed={seed}&n=64")
    page.get_by_role("spinbutton", name="Pictures").fill("9")  # comes after all that is still under way
    expect_address(page, f"?model=frogs&seed={seed}&n=9")
    expect(pictures(page)).to_have_count(9)
    expect(pictures(page).first).to_have_attribute("alt", f"seed {seed}")
    expect(seed_field(page)).to_have_value(seed)


def test_the_slider_goes_through_the_training(visit: Callable[..., Page]) -> None:
    page = visit()
    page.get_by_role("tab", name="Training").click()
    status, shown = page.locator("#moment-status"), page.locator("#history img")
    expect(status).to_have_text("after 300,000 real pictures")
    last = shown.get_attribute("src")
    page.get_by_role("slider", name="Stage").focus()
    page.keyboard.press("ArrowLeft")
    expect(status).to_have_text("after 20,000 real pictures")
    expect(shown).to_have_attribute("alt", "Samples after 20,000 real pictures")
    expect(shown).not_to_have_attribute("src", last or "")
    page.keyboard.press("Home")
    expect(status).to_have_text("after 1,000 real pictures")
    pick(page, "frogs")
    expect(status).to_have_text("This model keeps no pictures of its training.")
    for nothing in (page.get_by_role("slider", name="Stage"), page.locator("#history"), page.get_by_text(ABOUT)):
        expect(nothing).to_be_hidden()
    pick(page, "digits")
    expect(page.get_by_text(ABOUT)).to_be_visible()
    expect(shown).to_be_visible()
    expect(status).to_have_text("after 300,000 real pictures")


def test_a_seed_that_is_none_is_explained_and_mended(visit: Callable[..., Page]) -> None:
    page = visit("?seed=5")
    seed_field(page).fill("-4")
    expect(page.get_by_test_id("toast-body")).to_contain_text(
        "seed must be a whole number from 0 to 2147483632 (for 16 pictures), got -4"
    )
    expect(pictures(page)).to_have_count(16)
    expect_address(page, "?model=digits&seed=5")
    seed_field(page).fill("")
    page.get_by_role("button", name="Generate").click()
    expect(page.get_by_test_id("toast-body").last).to_contain_text(
        "seed must be a whole number from 0 to 2147483647, got"
    )
    pick(page, "frogs")
    expect_address(page, "?model=frogs&seed=0")


def test_all_pictures_come_in_one_zip(visit: Callable[..., Page], pipelines: dict[str, GANPipeline]) -> None:
    page = visit("?label=7&seed=42&n=3")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download all").click()
    assert download.value.suggested_filename == "digits_7_seed42_3-pictures.zip"
    with zipfile.ZipFile(download.value.path()) as archive:
        assert archive.namelist() == [f"digits_7_seed{seed}.png" for seed in (42, 43, 44)]
        found = [np.asarray(Image.open(archive.open(name))) for name in archive.namelist()]
    expected = pipelines["digits"](num_images=3, labels=7, seed=42).images
    assert all(np.array_equal(a, np.asarray(b)) for a, b in zip(found, expected))


def test_one_picture_comes_in_true_pixels(visit: Callable[..., Page], pipelines: dict[str, GANPipeline]) -> None:
    page = visit("?model=frogs&seed=42&n=3")
    pictures(page).nth(1).click()
    expect(page.locator("#gallery")).to_contain_text("seed 43")
    with page.expect_download() as download:
        page.locator("#gallery").get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == "frogs_seed43.png"
    found = np.asarray(Image.open(download.value.path()))
    assert np.array_equal(found, np.asarray(pipelines["frogs"](num_images=1, seed=43).images[0]))
    page.screenshot(path=ARTIFACTS / "studio-preview.png")


def test_a_picture_is_played_with(visit: Callable[..., Page], pipelines: dict[str, GANPipeline]) -> None:
    page = visit("?label=7&seed=42&n=3")
    expect(page.get_by_role("button", name="Play with it")).to_be_hidden()
    pictures(page).nth(1).click()
    page.get_by_role("button", name="Play with it").click()
    played = page.locator("#played .played")
    expect(played).to_have_attribute("alt", "7 · seed 43")
    (expected,) = pipelines["digits"](1, labels=7, seed=43).images
    first = str(played.get_attribute("src"))
    found = np.asarray(Image.open(io.BytesIO(base64.b64decode(first.partition(",")[2]))), int)
    assert np.abs(found - np.asarray(expected)).max() <= 1
    page.get_by_role("slider", name="How far on the way").focus()
    page.keyboard.press("End")
    expect(played).to_have_attribute("alt", "7 · seed 1")
    page.get_by_role("button", name="New seeds").click()
    expect(played).not_to_have_attribute("alt", "7 · seed 1")
    pick(page, "frogs")
    expect(played).to_have_attribute("alt", re.compile(r"^seed \d+$"))
    expect(class_selector(page)).to_be_hidden()
    page.screenshot(path=ARTIFACTS / "studio-play.png")
    page.get_by_role("tab", name="Generate").click()
    expect(page.get_by_role("button", name="Play with it")).to_be_hidden()  # another model closes what was open
    pictures(page).nth(1).click()
    page.get_by_role("button", name="Play with it").click()
    expect(played).to_have_attribute("alt", "seed 43")
    page.get_by_role("button", name="New seeds").click()
    expect(played).not_to_have_attribute("alt", "seed 43")
    page.get_by_role("tab", name="Generate").click()
    page.get_by_role("button", name="Play with it").click()
    expect(played).to_have_attribute("alt", "seed 43")
    page.get_by_role("tab", name="Generate").click()
    page.locator("#gallery").get_by_role("button", name="Close").click()
    expect(page.get_by_role("button", name="Play with it")).to_be_hidden()


def test_the_link_is_copied(visit: Callable[..., Page]) -> None:
    page = visit("?model=frogs&seed=9")
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("button", name="Link copied")).to_be_visible()
    expect(page.locator("#copy")).to_have_attribute("aria-live", "polite")
    assert page.evaluate("navigator.clipboard.readText()") == page.url
    seed_field(page).fill("8")
    expect_address(page, "?model=frogs&seed=8")
    expect(page.locator("#copy")).to_have_text("Copy link")  # what was copied is another link


def test_the_link_holds_nothing_else_of_the_address(visit: Callable[..., Page]) -> None:
    page = visit("?model=frogs&seed=9&n=2&__sign=secret")
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("button", name="Link copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == f"{page.url.split('?')[0]}?model=frogs&seed=9&n=2"


def test_a_space_shows_nothing_else_of_the_address(visit: Callable[..., Page]) -> None:
    page = visit("?model=frogs&seed=9&n=2&__sign=secret")
    expect_address(page, "?model=frogs&seed=9&n=2&__sign=secret")
    page.evaluate("() => { window.parent = {postMessage: (message) => { window.posted = message; }}; }")
    seed_field(page).fill("8")
    page.wait_for_function("window.posted")
    assert page.evaluate("window.posted") == {"queryString": "model=frogs&seed=8&n=2"}


@pytest.mark.parametrize("visitor", ["desktop", "phone"])
def test_a_link_is_shown_where_it_can_not_be_copied(visit: Callable[..., Page], visitor: str) -> None:
    page = visit("?model=frogs&seed=9&n=2", visitor)
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('not allowed')); }")
    field = page.get_by_label("Copy this link")
    expect(field).to_have_count(0)
    page.get_by_role("button", name="Copy link").click()
    expect(field).to_have_value(page.url)
    expect(field).to_be_editable()  # so that its text can be selected everywhere
    expect(page.locator("#copy")).to_have_text("Link below")
    page.screenshot(path=ARTIFACTS / f"studio-link-{visitor}.png")
    page.locator("#dice").click()
    expect(field).to_have_count(0)


def test_a_number_may_be_typed_beside_a_slider(visit: Callable[..., Page]) -> None:
    page = visit("?model=frogs&seed=9")
    box = page.get_by_role("spinbutton", name="Pictures")
    box.fill("")
    box.press_sequentially("100")
    box.blur()
    expect(pictures(page)).to_have_count(64)
    expect_address(page, "?model=frogs&seed=9&n=64")
    expect(box).to_have_value("64")
    expect(page.get_by_test_id("toast-body")).to_have_count(0)


def test_the_card_tells_what_a_model_is(visit: Callable[..., Page]) -> None:
    page = visit("?model=frogs")
    page.get_by_role("tab", name="About").click()
    expect(page.locator("#card")).to_contain_text("Frogs in colour, for tests.")
    expect(page.locator("#card img")).to_have_attribute("src", re.compile("another-spy"))  # that the browser refuses
    expect(page.locator("#card")).to_contain_text("no classes")
    pick(page, "digits")
    expect(page.locator("#card")).to_contain_text("10 classes")
    expect(page.locator("#card img")).to_have_js_property("naturalWidth", 8)
    page.screenshot(path=ARTIFACTS / "studio-card.png")


@pytest.mark.parametrize("query", ["", "?model=frogs&n=64", "?n=1"])
def test_a_phone_shows_all_without_scrolling_sideways(visit: Callable[..., Page], query: str) -> None:
    page = visit(query, "phone")
    cells = 0
    inside = {
        "Play": page.locator("#played .played"),
        "Training": page.locator("#moment-status"),
        "About": page.locator("#card"),
    }
    for tab, part in (inside | {"Generate": pictures(page).first}).items():
        page.get_by_role("tab", name=tab).click()
        expect(part).to_be_visible()
        if tab == "About" and "frogs" in query:  # whose card has a table
            expect(page.locator("#card td").first).to_be_visible()
        for cell in page.locator("#card td:visible, #card th:visible").all()[:4]:  # words stay whole
            cells += 1
            assert cell.evaluate("cell => getComputedStyle(cell).wordBreak") == "normal"
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert bool(cells) == ("frogs" in query)
    for part in [page.locator("#picker"), page.locator("#gallery"), seed_field(page), page.locator("#dice")]:
        box = part.bounding_box()
        assert box
        assert 0 <= box["x"] < box["x"] + box["width"] <= PHONE["width"]
    for image in (pictures(page).first, pictures(page).last):
        box = image.bounding_box()
        assert box
        assert abs(box["width"] - box["height"]) <= 1
        assert box["x"] + box["width"] <= PHONE["width"]


def test_a_phone_shows_what_is_played_with_beside_every_slider(visit: Callable[..., Page]) -> None:
    page = visit("", "phone")
    page.get_by_role("tab", name="Play").click()
    page.mouse.wheel(0, 5000)
    expect(page.get_by_role("slider", name="Truncation")).to_be_in_viewport(ratio=1)
    expect(page.locator("#played .played")).to_be_in_viewport(ratio=1)
    page.screenshot(path=ARTIFACTS / "studio-play-phone.png")


def test_no_other_pictures_are_seen_before_those_of_an_address(visit: Callable[..., Page]) -> None:
    page = visit("?seed=3")
    seen = "getComputedStyle(document.getElementById('gallery')).visibility"
    assert page.evaluate(seen) == "visible"
    page.evaluate("document.documentElement.classList.add('restoring')")
    assert page.evaluate(seen) == "hidden"
    page.wait_for_function(f"{seen} === 'visible'")  # if no answer ever comes


def test_a_phone_shows_pictures_and_the_button_first(visit: Callable[..., Page]) -> None:
    page = visit("", "phone")
    expect(pictures(page).last).to_be_in_viewport(ratio=1)
    expect(page.get_by_role("button", name="Generate")).to_be_in_viewport(ratio=1)
    page.get_by_role("button", name="New seed").tap()
    expect(page).to_have_url(re.compile(r"\?model=digits&seed=[1-9]\d*$"))
    page.screenshot(path=ARTIFACTS / "studio-phone.png", full_page=True)


def test_pixels_are_crisp_and_dark_is_dark(visit: Callable[..., Page]) -> None:
    page = visit("?model=frogs&seed=3", visitor="dark")
    assert pictures(page).first.evaluate("image => getComputedStyle(image).imageRendering") == "pixelated"
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(map(int, re.findall(r"\d+", background)[:3])) < 64
    page.screenshot(path=ARTIFACTS / "studio-dark.png")


def test_the_zoo_looks_and_draws_as_the_library_does(visit: Callable[..., Page], tmp_path: Path) -> None:
    query = "?model=digits&label=7&seed=42"
    expected = [np.asarray(image) for image in GANPipeline.from_pretrained("digits")(16, labels=7, seed=42).images]
    with serve() as blocks:
        page = visit(query, address=blocks.local_url)
        expect(pictures(page)).to_have_count(16)
        assert np.array_equal(shown_pixels(page), expected)
        assert page.locator("#picker input").evaluate_all("all => all.map(one => one.value)") == hub.zoo_names()
        page.screenshot(path=ARTIFACTS / "real-desktop.png")
        visit(query, "phone", blocks.local_url).screenshot(path=ARTIFACTS / "real-phone.png")
        client = connect(blocks.local_url, tmp_path)
        files, details = client.predict(model="digits", label="7", seed=42, api_name="/generate")
        client.close()
    assert np.array_equal([np.asarray(Image.open(file)) for file in files], expected)
    assert details["address"] == query
