"""Who is let into the page, and what browsers are told about its responses."""

from collections.abc import Iterator

import pytest

from local.object_store import ObjectStore
from local.postgres import PostgreSQL
from tests.worker.pipeline import Pipeline
from tests.worker.web_server import WebServer
from worker.web.tokens import csrf_token, page_key, session_id


@pytest.fixture(scope="module")
def web(
    tmp_path_factory: pytest.TempPathFactory, moto: ObjectStore, database: PostgreSQL
) -> Iterator[WebServer]:
    with Pipeline(tmp_path_factory.mktemp("web"), moto, database, versions=True) as made:
        made.migrate()
        with WebServer(made) as server:
            yield server.login()


def test_person_with_the_page_key_is_let_in(web: WebServer) -> None:
    assert web.get("/").status == 200


@pytest.mark.parametrize("cookie", ["", "session=1", "session-12345678=x"])
def test_other_browsers_are_refused(web: WebServer, cookie: str) -> None:
    response = web.get("/", cookie=cookie)
    assert response.status == 403
    assert response.text == "This browser has no access to the page: run `./pipeline web`.\n"


@pytest.mark.parametrize(
    ("to", "expected"),
    [("/results", "/results"), ("//evil.example", "/"), ("https://evil.example", "/"), ("", "/")],
)
def test_login_leads_to_pages_of_ours_only(web: WebServer, to: str, expected: str) -> None:
    response = web.get(f"/login?key={web.page_key}&to={to}", cookie="")
    assert response.status == 200
    assert f'content="0;url={expected}"' in response.text


def test_wrong_key_is_refused(web: WebServer) -> None:
    response = web.get("/login?key=x", cookie="")
    assert response.status == 403
    assert "set-cookie" not in response.headers
    assert "run `./pipeline web` again" in response.text


def test_cookie_is_neither_for_scripts_nor_for_other_sites(web: WebServer) -> None:
    cookie = web.get(web.login_address.removeprefix(web.address)).headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()


def test_bearer_token_does_not_open_the_page(web: WebServer) -> None:
    response = web.get("/", cookie="", authorization=f"Bearer {web.token}")
    assert response.status == 403


def test_nothing_that_the_upload_token_gives_opens_the_page(web: WebServer) -> None:
    """Who may upload may not see what others uploaded."""
    token, name = web.token, web.cookie.partition("=")[0]
    derived = [
        token,
        page_key(token, 1),
        session_id(token),
        session_id(page_key(token, 1)),
        csrf_token(token),
    ]
    for key in derived:
        assert web.get(f"/login?key={key}", cookie="").status == 403
        assert web.get("/", cookie=f"{name}={key}").status == 403


@pytest.mark.parametrize("host", ["localhost:8700", "127.0.0.1:1", "[::1]:8700", "LOCALHOST"])
def test_loopback_is_a_known_host_at_any_port(web: WebServer, host: str) -> None:
    assert web.get("/", host=host).status == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[", "a@b:x"])
def test_other_hosts_are_refused(web: WebServer, host: str) -> None:
    """A name of an attacker that leads to 127.0.0.1 (DNS rebinding) gets nothing."""
    response = web.get("/", host=host)
    assert response.status == 421
    assert "open the page by `./pipeline web`" in response.text


@pytest.mark.parametrize("path", ["/", "/nothing", "/login?key=x", "/static/page.css"])
def test_every_response_tells_browsers_to_run_nothing_foreign(web: WebServer, path: str) -> None:
    headers = web.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "server" not in headers


def test_taken_port_is_one_sentence(web: WebServer) -> None:
    done = web.pipeline.run("web", "--port", str(web.port))
    assert done.returncode == 1
    assert done.stderr == (
        f"The port {web.port} of 127.0.0.1 cannot be used (Address already in use): "
        "give another with --port.\n"
    )


def test_icon_is_where_browsers_look_for_it(web: WebServer) -> None:
    """Also on the page of /login, which names none."""
    response = web.get("/favicon.ico", cookie="")
    assert (response.status, response.headers["content-type"]) == (200, "image/svg+xml")
