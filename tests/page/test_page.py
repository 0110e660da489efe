"""A person drops files, watches them, compares results, retries; keyboard, phone, no script."""

import base64
import re
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, expect

from tests.eventually import eventually
from tests.page.stage import SAMPLES, Stage

PHOTOS = [SAMPLES / name for name in ("cat.jpg", "coffee.png", "galaxies.jpg", "rocket.jpg")]
#: Drops files on the page, as a file manager does.
DROP = """(files) => {
  const data = new DataTransfer();
  for (const [name, content] of files) {
    const bytes = Uint8Array.from(atob(content), (digit) => digit.charCodeAt(0));
    data.items.add(new File([bytes], name));
  }
  for (const type of ["dragenter", "dragover", "drop"]) {
    document.querySelector("main").dispatchEvent(
      new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }));
  }
}"""
VIEWS = ["/", "/pipelines/negatives", "/upload", "/results", "/jobs", "/jobs?state=quarantined"]


@pytest.fixture(scope="module", autouse=True)
def _dropped(stage: Stage) -> None:
    """Drop 20 files of which one is no picture, and wait until all have ended."""
    with stage.context() as context:
        page = stage.page("/upload", context)
        if page.locator("select[name=pipeline]").count():
            page.locator("select[name=pipeline]").select_option("negatives")
        photos = [(f"photo-{number:02}.{_of(number).name}", _of(number)) for number in range(19)]
        files = [(name, base64.b64encode(path.read_bytes()).decode()) for name, path in photos]
        files.append(("broken.jpg", base64.b64encode(b"\xff\xd8 no picture").decode()))
        page.evaluate(DROP, files)
        expect(page.locator("#rows tr")).to_have_count(20)
        expect(page.locator("#rows .state.done")).to_have_count(19)
        expect(page.locator("#rows .state.quarantined")).to_have_count(1)
        expect(page.locator("#rows tr", has_text="broken.jpg")).to_contain_text("damaged")
        query = "SELECT key FROM pipeline.results WHERE pipeline = 'small' AND outcome = 'done'"
        eventually(lambda: len(stage.pipeline.sql(query)) == 19, what="the second pipeline is done")
    assert stage.problems == []


def _of(number: int) -> Path:
    return PHOTOS[number % len(PHOTOS)]


def visible_pictures(page: Page) -> list[dict[str, Any]]:
    """Return address, width and brightness of the pictures that the browser has drawn."""
    found: list[dict[str, Any]] = page.evaluate(
        """async () => Promise.all([...document.images].map(async (image) => {
          await image.decode();
          const canvas = document.createElement("canvas");
          [canvas.width, canvas.height] = [64, 64];
          const drawing = canvas.getContext("2d");
          drawing.drawImage(image, 0, 0, 64, 64);
          const data = drawing.getImageData(0, 0, 64, 64).data;
          let sum = 0;
          for (let i = 0; i < data.length; i += 4) sum += data[i] + data[i + 1] + data[i + 2];
          return { alt: image.alt, width: image.naturalWidth, light: sum / 64 / 64 / 3 };
        }))"""
    )
    return found


def test_before_and_after_are_compared(stage: Stage, desktop: BrowserContext) -> None:
    page = stage.page("/results?pipeline=negatives", desktop)
    card = page.locator(".card", has=page.get_by_role("link", name="photo-00.cat.jpg"))
    card.get_by_role("link", name="photo-00.cat.jpg", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("photo-00.cat.jpg")
    before, after = visible_pictures(page)
    assert before["alt"] == "Before: photo-00.cat.jpg"
    assert after["alt"] == "After: negated_photo-00.cat.jpg"
    assert before["width"] == after["width"] > 400
    assert before["light"] + after["light"] == pytest.approx(255, abs=6)  # a negative
    expect(page.locator(".timeline")).to_contain_text("done")
    page.locator(".lineage").get_by_role("link", name="negated_photo-00.cat.jpg").click()
    expect(page.locator(".lineage")).to_contain_text("Made from negatives: photo-00.cat.jpg")


def test_chosen_results_are_downloaded(
    stage: Stage, desktop: BrowserContext, tmp_path: Path
) -> None:
    page = stage.page("/results?pipeline=small", desktop)
    for number in range(2):
        page.locator(".card input").nth(number).check()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download chosen").click()
    download.value.save_as(tmp_path / "results.zip")
    assert re.fullmatch(rf"{stage.pipeline.name}-[\d-]+\.zip", download.value.suggested_filename)
    assert (tmp_path / "results.zip").read_bytes().startswith(b"PK")


def test_quarantined_job_is_retried(stage: Stage, desktop: BrowserContext) -> None:
    page = stage.page("/", desktop)
    page.locator("#pipeline-negatives dd.bad a").click()
    page.get_by_role("link", name="broken.jpg").click()
    expect(page.locator("h1")).to_contain_text("quarantined")
    page.get_by_role("button", name="Retry").click()
    expect(page.locator("h1")).to_have_text("Retry 1 job?")
    page.get_by_role("button", name="Retry").click()
    expect(page.locator(".timeline")).to_contain_text("put back")
    query = "SELECT job_id FROM pipeline.results WHERE key = 'broken.jpg' ORDER BY id"
    eventually(lambda: len(stage.pipeline.sql(query)) == 2, what="it is processed again")
    page.reload()
    page.locator(".notice a").click()  # of the job that repeated it
    expect(page.locator("h1")).to_contain_text("quarantined")


def test_overview_follows_without_flicker(stage: Stage, desktop: BrowserContext) -> None:
    page = stage.page("/", desktop)
    done = page.locator("#pipeline-negatives .figures div", has_text="Done").locator("dd")
    query = "SELECT 1 FROM pipeline.results WHERE pipeline = 'negatives' AND outcome = 'done'"
    before = len(stage.pipeline.sql(query))
    expect(done).to_have_text(str(before))
    link = page.locator("#pipeline-small h3 a")
    link.focus()
    page.evaluate("window.isTheSame = document.querySelector('#pipeline-negatives')")
    stage.pipeline.put("later.png", (SAMPLES / "coffee.png").read_bytes())
    expect(done).to_have_text(str(before + 1))
    assert page.evaluate("window.isTheSame.isConnected")  # neither reloaded nor drawn anew
    expect(link).to_be_focused()


def test_choice_stays_with_its_job_while_others_come(stage: Stage, desktop: BrowserContext) -> None:
    page = stage.page("/results?pipeline=negatives", desktop)
    box = page.locator(".card input").first
    value = box.get_attribute("value")
    box.check()
    stage.pipeline.put("newer.png", (SAMPLES / "coffee.png").read_bytes())
    expect(page.locator(".card").first).to_contain_text("newer.png")
    expect(page.locator(".card input:checked")).to_have_count(1)
    assert page.locator(".card input:checked").get_attribute("value") == value


def test_lost_connection_is_said(stage: Stage, desktop: BrowserContext) -> None:
    page = stage.page("/", desktop)
    desktop.set_offline(True)
    expect(page.locator("#overview.stale")).to_be_visible()
    desktop.set_offline(False)
    expect(page.locator("#overview:not(.stale)")).to_be_visible()
    stage.problems.clear()  # the browser's own words on it


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(stage: Stage, scheme: str) -> None:
    """axe-core's rules of WCAG 2.2 and its best practices; of the dark colors, the contrast."""
    options = {"runOnly": ["color-contrast"]} if scheme == "dark" else None
    with stage.context(color_scheme=scheme) as context:
        job = stage.pipeline.sql("SELECT job_id FROM pipeline.results ORDER BY id LIMIT 1")
        identifier = job[0]["job_id"]
        change = f"/jobs/change?action=retry&job={identifier}"
        for path in (*VIEWS, f"/jobs/{identifier}", change, "/jobs/00000000"):
            page = stage.page(path, context)
            found = Axe().run(page, options=options).response["violations"]
            assert [(path, one["id"], one["nodes"][0]["html"]) for one in found] == []
            page.close()
    stage.problems.clear()  # the 404


def test_everything_fits_a_phone(stage: Stage) -> None:
    with stage.context(viewport={"width": 360, "height": 740}, is_mobile=True) as context:
        for path in VIEWS:
            page = stage.page(path, context)
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= 360, path
            page.close()


def test_keyboard_is_enough(stage: Stage, desktop: BrowserContext) -> None:
    page = stage.page("/jobs", desktop)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("photo-07")
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr")).to_have_count(2)
    page.get_by_role("link", name="photo-07.rocket.jpg", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text("photo-07.rocket.jpg")


def test_pages_are_read_without_script(stage: Stage) -> None:
    with stage.context(java_script_enabled=False) as context:
        page = stage.page("/", context)
        expect(page.locator("#pipeline-negatives")).to_contain_text("Done")
        page.get_by_role("link", name="Results").first.click()
        expect(page.locator(".card").first).to_be_visible()
        page.goto(stage.server.address + "/jobs?state=quarantined")
        page.get_by_role("link", name="broken.jpg").first.click()
        page.get_by_role("button", name="Drop").click()
        expect(page.locator("h1")).to_have_text("Drop 1 job?")
        page.get_by_role("link", name="Cancel").click()
        expect(page.locator("h1")).to_have_text("Jobs")
