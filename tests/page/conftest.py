"""One browser and one stack for all tests of the page."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext

from local.object_store import ObjectStore
from local.postgres import PostgreSQL
from tests.page.stage import Stage, open_browser, open_stage
from tests.worker.conftest import compiled, database, moto, pipelines, versioned

__all__ = ["compiled", "database", "moto", "pipelines", "versioned"]


# Not of the session: while a browser is open, Playwright's event loop counts as running in this
# thread, and asyncio.run and Pulumi's mocks in other tests need one of their own.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="package")
def stage(
    tmp_path_factory: pytest.TempPathFactory,
    moto: ObjectStore,
    database: PostgreSQL,
    browser: Browser,
    compiled: None,
) -> Iterator[Stage]:
    with open_stage(tmp_path_factory.mktemp("page"), moto, database, browser) as opened:
        yield opened


@pytest.fixture
def desktop(stage: Stage) -> Iterator[BrowserContext]:
    with stage.context(viewport={"width": 1200, "height": 900}) as context:
        yield context
    assert stage.problems == []
