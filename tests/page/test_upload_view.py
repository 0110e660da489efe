"""A person uploads a folder, also with files that cannot be stored, and files without script."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.eventually import eventually
from tests.page.stage import SAMPLES, Stage

CAT = (SAMPLES / "cat.jpg").read_bytes()


@pytest.fixture
def plain(stage: Stage) -> Iterator[BrowserContext]:
    """A browser without script."""
    with stage.context(java_script_enabled=False) as context:
        yield context


def test_a_folder_keeps_its_paths(stage: Stage, desktop: BrowserContext, tmp_path: Path) -> None:
    folder = tmp_path / "Ausflug 猫"
    (folder / "day #1").mkdir(parents=True)
    (folder / "day #1" / "100%.jpg").write_bytes(CAT)
    (folder / "empty.jpg").write_bytes(b"")
    (folder / ".DS_Store").write_bytes(b"x")
    page = stage.page("/upload", desktop)
    page.locator("select[name=pipeline]").select_option("negatives")
    page.locator("input[name=folder]").set_input_files(folder)
    row = page.locator("#rows tr", has_text="100%.jpg")
    expect(row.locator(".state.done")).to_be_visible()
    expect(page.locator("#rows tr", has_text=".DS_Store")).to_contain_text("ignores files")
    expect(page.locator("#rows tr", has_text="empty.jpg")).to_contain_text("nothing can be made")
    expect(page.locator("#summary")).to_contain_text("1 of 3 uploaded")
    expect(page.locator("#summary")).to_contain_text("1 failed, 1 ignored")
    row.get_by_role("link", name="Ausflug 猫/day #1/100%.jpg").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Ausflug 猫/day #1/100%.jpg")
    page.go_back()
    stored = stage.pipeline.keys(stage.pipeline.output)
    assert "Ausflug 猫/day #1/negated_100%.jpg" in stored


def test_files_are_uploaded_without_script(
    stage: Stage, plain: BrowserContext, tmp_path: Path
) -> None:
    files = [tmp_path / "plain 1.jpg", tmp_path / "plain 2.jpg"]
    for number, file in enumerate(files):
        file.write_bytes(CAT + bytes([number]))
    page = stage.page("/upload", plain)
    page.locator("select[name=pipeline]").select_option("negatives")
    page.locator("input[name=file]").set_input_files(files)
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_role("heading", name="2 uploaded")).to_be_visible()
    # The page loads itself again until all have ended.
    expect(page.locator("#batch .state.done, #batch .state.quarantined")).to_have_count(2)
    (tmp_path / "empty.jpg").write_bytes(b"")
    page.goto(f"{stage.server.address}/upload")
    page.locator("input[name=file]").set_input_files(tmp_path / "empty.jpg")
    page.get_by_role("button", name="Upload").click()
    expect(page.locator("main")).to_contain_text("The file 'empty.jpg' is empty")
    # The browser reports the response's status. Playwright delivers its events only during calls,
    # hence page.title().
    eventually(lambda: page.title() and stage.problems)
    (reported,) = stage.problems
    assert "400 (Bad Request)" in reported
    stage.problems.clear()


def test_a_form_of_another_page_is_refused(stage: Stage, desktop: BrowserContext) -> None:
    """It has the cookie, if a browser sends it, but not the token of the page."""
    sent = {"name": "x.jpg", "mimeType": "image/jpeg", "buffer": CAT}
    address = f"{stage.server.address}/upload?pipeline=negatives"
    answer = desktop.request.post(address, multipart={"file": sent})
    assert answer.status == 403
    assert "open /upload again" in answer.text()
    assert "x.jpg" not in stage.pipeline.left()
