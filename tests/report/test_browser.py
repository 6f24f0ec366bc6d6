"""The pages in a browser: what their script adds, that they load nothing; at two widths, in the dark, and blinded."""

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mrspipe.report.blind import blinded
from mrspipe.report.content import MeanSpectrum
from mrspipe.report.pages import write_group_page, write_subject_page

_CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)
_ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
# Where `.ci/run` puts it; npm install --prefix DIR axe-core does the same.
_AXE = Path(os.environ.get("AXE_CORE", Path(tempfile.gettempdir()) / "mrspipe-axe/node_modules/axe-core/axe.min.js"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not _CHROMIUM, reason="no Chromium on this machine (apt-get install chromium)"),
]


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (pip install playwright)")
    with (
        sync_api.sync_playwright() as play,
        play.chromium.launch(executable_path=_CHROMIUM, args=_ARGUMENTS) as running,
    ):
        yield running


def big_study(make, n_per_group=28):
    """Fifty-six participants with four scans each, and a specification curve and spectra as a real study has."""
    measurements, ratings, quality = make.tables(n_per_group=n_per_group)
    ppm = np.round(np.arange(0.2, 4.2001, 0.01), 2)
    spectra = tuple(
        MeanSpectrum(group, ppm, np.sin(9 * ppm) + 1, np.full(ppm.size, 0.1), np.sin(9 * ppm) + 1, n_per_group)
        for group in ("HC", "CAI")
    )
    rng = np.random.default_rng(1)
    choices = pd.DataFrame([
        {"contrast": "patients-controls", "metabolite": "Glu", "quantity": "molar", "estimate": estimate,
         "choice": "main" if place == 0 else f"choice {place}", "kind": f"kind {place % 6}", "p": 0.02, "effect": -0.7,
         "ci_low": estimate - 0.7, "ci_high": estimate + 0.7, "keeps_sign": True, "is_significant": place % 3 == 0}
        for place, estimate in enumerate(-0.9 + 0.2 * rng.standard_normal(24))
    ])  # fmt: skip
    return make.group_page(measurements=measurements, ratings=ratings, quality=quality, spectra=spectra,
                           robustness=choices, limits={"snr": {"doubtful": 10.0, "unusable": 8.0}})  # fmt: skip


@pytest.fixture(scope="module")
def pages(tmp_path_factory, make):
    folder = tmp_path_factory.mktemp("pages")
    study = big_study(make)
    write_subject_page(folder / "sub-01.html", make.subject_page())
    write_group_page(folder / "group.html", study)
    write_group_page(folder / "blind.html", blinded(study))
    return folder


@pytest.fixture
def opened(browser, pages):
    """Open a page, and at the end find that it asked for nothing and complained about nothing."""
    contexts, asked, said = [], [], []

    def open_page(name, width=1280, **options):
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text) if message.type in {"error", "warning"} else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto((pages / name).as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    outside = [url for url in asked if not url.startswith(("file://", "data:"))]
    assert outside == []
    assert len([url for url in asked if url.startswith("file://")]) == len(contexts)
    assert said == []


@pytest.mark.parametrize("name", ["sub-01.html", "group.html", "blind.html"])
@pytest.mark.parametrize("width", [390, 1280])
def test_a_page_loads_alone_and_is_as_wide_as_the_window(opened, name, width):
    page = opened(name, width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("h1").is_visible()


def test_a_curve_is_switched_off_and_on_by_the_keyboard(opened):
    page = opened("sub-01.html")
    viewer = page.locator(".viewer").first
    curve, switch = viewer.locator("path[data-curve=fit]"), viewer.locator("[data-toggle=fit]")
    assert curve.is_visible()
    switch.focus()
    page.keyboard.press("Space")
    assert not curve.is_visible()
    page.keyboard.press("Space")
    assert curve.is_visible()
    assert not viewer.locator("path[data-curve=NAA]").is_visible()
    viewer.locator("[data-toggle=NAA]").check()
    assert viewer.locator("path[data-curve=NAA]").is_visible()


def test_the_spectrum_zooms_by_buttons_keys_and_dragging(opened):
    page = opened("sub-01.html")
    viewer = page.locator(".viewer").first
    boxes = lambda: viewer.locator(".pane").evaluate_all("panes => panes.map(p => p.getAttribute('viewBox'))")  # noqa: E731
    ticks = lambda: [float(text) for text in viewer.locator(".ticks text").all_text_contents()]  # noqa: E731
    whole = boxes()
    viewer.locator("[data-zoom=glu]").click()
    # Units of 0.001 ppm from 4.2 ppm downwards: 2.55 ppm is 1650, and 0.4 ppm are 400.
    assert {tuple(box.split()[::2]) for box in boxes()} == {("1650", "400")}
    assert viewer.locator("output").text_content() == "2.55 to 2.15 ppm"
    assert max(ticks()) <= 2.55
    assert min(ticks()) >= 2.15
    svg = viewer.locator("svg.spectrum")
    svg.focus()
    page.keyboard.press("ArrowRight")
    assert viewer.locator("output").text_content() == "2.45 to 2.05 ppm"
    page.keyboard.press("0")
    assert boxes() == whole
    # A mouse reaches only what the window shows, and focus alone may leave most of the drawing below it.
    svg.evaluate("one => one.scrollIntoView({block: 'center', behavior: 'instant'})")
    area = svg.bounding_box()
    assert area["y"] + 200 < page.viewport_size["height"]
    page.mouse.move(area["x"] + 0.4 * area["width"], area["y"] + 200)
    page.mouse.down()
    page.mouse.move(area["x"] + 0.6 * area["width"], area["y"] + 200)
    page.mouse.up()
    assert boxes() != whole
    # A fifth of the drawing, of which the axis takes 872 of 960: 0.2 x 960 / 872 x 4 ppm.
    wide = float(boxes()[0].split()[2]) / 1000
    assert wide == pytest.approx(0.2 * 960 / 872 * 4.0, abs=0.02)
    svg.dblclick()
    assert boxes() == whole


def test_a_subject_that_is_marked_stands_out_everywhere(opened):
    page = opened("group.html")
    button = page.locator("[data-select=sub-07]")
    button.focus()
    page.keyboard.press("Enter")
    assert button.get_attribute("aria-pressed") == "true"
    assert page.locator("figure [data-subject=sub-07]").count() > 12
    assert page.locator("[data-subject=sub-07]:not(.on)").count() == 0
    assert page.locator(".on:not([data-subject=sub-07])").count() == 0
    faded = page.locator("figure [data-subject=sub-08]").first.evaluate("one => getComputedStyle(one).opacity")
    assert float(faded) < 0.5
    bar = page.locator("[data-selection]")
    assert bar.is_visible()
    assert "sub-07, Cocaine users" in bar.text_content()
    assert bar.locator("a").get_attribute("href") == "sub-07.html"
    page.keyboard.press("Escape")
    assert not bar.is_visible()
    assert page.locator(".on").count() == 0


def test_a_click_on_a_point_marks_its_row(opened):
    page = opened("group.html")
    point = page.locator("#figure-quality [data-subject=sub-09] use").first
    point.scroll_into_view_if_needed()
    point.click(force=True)
    marked = page.locator("#subject-table tr.on").get_attribute("data-subject")
    assert marked == page.locator("[data-name]").text_content().split(",")[0]


def test_subjects_are_searched_and_sorted(opened):
    page = opened("group.html")
    rows = page.locator("#subject-table tbody tr")
    n_all = rows.count()
    page.locator("input[data-search]").fill("controls sub-4")
    shown = [row for row in rows.all() if row.is_visible()]
    assert {row.get_attribute("data-subject") for row in shown} == {f"sub-{n}" for n in range(40, 50)}
    assert page.locator(".tools output").text_content() == f"10 of {n_all}"
    page.locator("input[data-search]").fill("")
    head = page.locator("#subject-table thead th", has_text="Placebo, Neutral")
    for press, order in (("ascending", 1), ("descending", -1)):
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == press
        values = page.locator("#subject-table tbody td:nth-child(3)").evaluate_all(
            "cells => cells.map(cell => cell.querySelector('data')?.value)"
        )
        known = [float(value) for value in values if value is not None]
        assert values[: len(known)] == [value for value in values if value is not None]
        assert known == sorted(known, reverse=order < 0)
        assert len(known) > 50


def test_the_reader_chooses_dark_or_light_and_it_stays(opened):
    page = opened("group.html", color_scheme="light")
    colour = lambda: page.evaluate("getComputedStyle(document.body).backgroundColor")  # noqa: E731
    light = colour()
    page.locator("[data-theme-toggle]").click()
    assert colour() != light
    assert page.locator("[data-theme-toggle]").text_content() == "Light page"
    page.locator("[data-theme-toggle]").click()
    assert colour() == light


def test_a_dark_system_gets_a_dark_page_and_paper_stays_white(opened):
    page = opened("group.html", color_scheme="dark")
    colour = lambda: page.evaluate("getComputedStyle(document.body).backgroundColor")  # noqa: E731
    assert colour() == "rgb(20, 24, 29)"
    page.emulate_media(media="print")
    assert colour() == "rgb(255, 255, 254)"


def test_without_scripts_the_pages_are_whole_and_offer_nothing_that_does_not_work(opened):
    page = opened("sub-01.html", java_script_enabled=False)
    assert page.locator("svg.spectrum path.fit").first.is_visible()
    assert page.locator("svg.spectrum .ticks text").first.is_visible()
    assert not page.locator(".zoom").first.is_visible()
    assert not page.locator("[data-theme-toggle]").is_visible()
    page = opened("group.html", java_script_enabled=False)
    assert page.locator("#subject-table tbody tr").first.is_visible()
    assert not page.locator("input[data-search]").is_visible()
    assert not page.locator(".mark").first.is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["sub-01.html", "group.html", "blind.html"])
def test_axe_finds_nothing_serious(opened, name, scheme):
    if not _AXE.exists():
        pytest.skip(f"axe-core is not there (npm install --prefix {_AXE.parents[2]} axe-core)")
    page = opened(name, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    page.evaluate(_AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run().then(result => result.violations)")
    grave = [
        f"{one['id']}: {node['html'][:160]}"
        for one in found
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"][:3]
    ]
    assert grave == []


def test_a_study_of_224_scans_is_small_and_ready_at_once(opened, pages):
    assert (pages / "group.html").stat().st_size < 4_000_000
    page = opened("group.html")
    # From the start of the navigation to the end of the script, which the page waits for.
    ready_ms = page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
    assert 0 < ready_ms < 2000
    assert page.locator("#subject-table tbody tr").count() == 56
