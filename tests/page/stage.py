"""A stack whose page is looked at: its servers, a worker that keeps working, and a browser."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    expect,
    sync_playwright,
)

from bench.pipeline import ROOT
from cli.browser import redirect
from local.object_store import ObjectStore
from local.postgres import PostgreSQL
from tests.eventually import eventually, patience
from tests.worker.pipeline import Pipeline
from tests.worker.web_server import WebServer

CHROMIUM = "/usr/bin/chromium"
_ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_PATIENCE_MS = 60_000 * patience()
_LINGER_SECONDS = 600  # longer than the tests take
SAMPLES = ROOT / "samples"


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Start Chromium."""
    # Views refresh every 2 to 3 s, and other tests use the same cores; the default is 5 s.
    expect.set_options(timeout=_PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


class Stage:
    """Two pipelines: `negatives` keeps its inputs, `small` reads its results.

    Attributes:
        pipeline: The first one.
        server: Serves the page.
        problems: What scripts of the page have reported: errors, and refusals of the browser.
    """

    def __init__(self, pipeline: Pipeline, server: WebServer, browser: Browser) -> None:
        self.pipeline, self.server, self._browser = pipeline, server, browser
        self._file = pipeline.settings.with_name("page.html")
        self._file.write_text(redirect(server.login_address))
        self.problems: list[str] = []

    def context(self, **options: object) -> BrowserContext:
        """Return a browser profile that was let in, as `./pipeline web` does it."""
        context = self._browser.new_context(**options)
        context.set_default_timeout(_PATIENCE_MS)
        page = self.watched(context.new_page())
        page.goto(self._file.as_uri())
        # Browsers treat what a file leads to as another site's doing.
        page.wait_for_url(f"{self.server.address}/")
        expect(page.locator("nav").first).to_be_visible()
        page.close()
        return context

    def watched(self, page: Page) -> Page:
        """Record what goes wrong in a page."""
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", self._note)
        return page

    def _note(self, line: ConsoleMessage) -> None:
        if line.type == "error":
            self.problems.append(f"{line.text} {line.location['url']}")

    def page(self, path: str, context: BrowserContext) -> Page:
        """Open a path in a new page."""
        page = self.watched(context.new_page())
        page.goto(self.server.address + path)
        return page


@contextmanager
def open_stage(
    folder: Path,
    store: ObjectStore,
    database: PostgreSQL,
    browser: Browser,
    *,
    name: str = "",
    machines: Sequence[str] = ("vm-1",),
) -> Iterator[Stage]:
    """Serve a stack with a worker for each pipeline on each machine until the context ends."""
    with Pipeline(folder, store, database, versions=True) as made, ExitStack() as stack:
        small = {kind: f"{made.name}-small-{kind}" for kind in ("input", "output")}
        archive = f"{made.name}-archive"
        for bucket in (archive, *small.values()):
            made.make_bucket(bucket)
        made.tables = {
            "top": {"stack": name or made.name},
            "store": {"archive": archive},
            "pipeline": {"keep_inputs": True, "readers": ["small"]},
            "pipelines.small": {
                "transform": "thumbnail",
                "parameters": '{"width": 160, "height": 160}',
                "sources": ["negatives"],
                **small,
            },
        }
        made.configure()
        made.migrate()
        for machine in machines:
            place = folder / machine
            settings = made.write_settings(place, top={"machine": machine})
            for pipeline in ("negatives", "small"):
                made.environment["STATE_DIRECTORY"] = str(place / f"state-{pipeline}")
                stack.enter_context(_worker(made, settings, machine, pipeline))
        made.environment["STATE_DIRECTORY"] = str(folder / "state-web")
        server = stack.enter_context(WebServer(made, stdout=subprocess.DEVNULL))
        yield Stage(made, server, browser)


@contextmanager
def _worker(pipeline: Pipeline, settings: Path, machine: str, name: str) -> Iterator[None]:
    """Process a pipeline's uploads until the context ends."""
    arguments = ("drain", "--pipeline", name, "--linger", str(_LINGER_SECONDS))
    process = pipeline.popen("--settings", str(settings), *arguments, stdout=subprocess.DEVNULL)
    try:
        query = "SELECT machine FROM pipeline.heartbeats WHERE (pipeline, machine) = (%s, %s)"
        eventually(lambda: pipeline.sql(query, name, machine), what=f"{machine} works for {name}")
        yield
    finally:
        process.terminate()
        process.communicate(timeout=60 * patience())
