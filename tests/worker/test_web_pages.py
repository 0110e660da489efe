"""Results and jobs as the page lists them, its downloads, and what a person does with jobs."""

import html
import io
import json
import re
import zipfile
from collections.abc import Iterator
from functools import partial
from urllib.parse import urlencode

import pytest
from PIL import Image

from local.object_store import ObjectStore
from local.postgres import PostgreSQL
from tests.eventually import eventually
from tests.ports import reserved_port
from tests.worker.pictures import encode
from tests.worker.pipeline import Pipeline
from tests.worker.web_server import WebServer

PHOTO = encode(Image.effect_noise((300, 200), 50).convert("RGB"), "PNG")
SCRIPT = "<script>alert(1)</script>"
NAME = "фото 1.png"


@pytest.fixture(scope="module")
def web(
    tmp_path_factory: pytest.TempPathFactory, moto: ObjectStore, database: PostgreSQL
) -> Iterator[WebServer]:
    """A pipeline, one that reads it, and one for any file; photos and files that are none."""
    with Pipeline(tmp_path_factory.mktemp("pages"), moto, database, versions=True) as made:
        small, rows = (
            {kind: f"{made.name}-{name}-{kind}" for kind in ("input", "output")}
            for name in ("small", "rows")
        )
        archive = f"{made.name}-archive"
        for bucket in (archive, *small.values(), *rows.values()):
            made.make_bucket(bucket)
        made.tables = {
            "store": {"archive": archive},
            "pipeline": {"keep_inputs": True, "readers": ["small"]},
            "pipelines.small": {"transform": "thumbnail", "sources": ["negatives"], **small},
            "pipelines.rows": {"transform": "copy", "keep_inputs": True, **rows},
        }
        made.configure()
        made.migrate()
        for key in ("a.png", f"folder/{NAME}", f"{SCRIPT}.png"):
            made.put(key, PHOTO)
        made.put("evil.html", SCRIPT.encode())
        made.put("evil.svg", b'<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>')
        made.drain(pipeline="negatives")
        made.drain(pipeline="small")
        with WebServer(made) as server:
            yield server.login()


def job_id(web: WebServer, key: str, pipeline: str = "negatives") -> str:
    query = "SELECT job_id FROM pipeline.results WHERE key = %s AND pipeline = %s ORDER BY id DESC"
    return str(web.pipeline.sql(query, key, pipeline)[0]["job_id"])


def listed(text: str) -> list[str]:
    """Return the ids of the jobs that a page lists, in their order."""
    return re.findall(r'id="job-([0-9a-f]{32})"', text)


def shown_with(web: WebServer, path: str, words: str) -> str:
    """Return a page if it contains some words, otherwise ""."""
    text = web.get(path).text
    return text if words in text else ""


def change(web: WebServer, action: str, *jobs: str, **fields: str) -> tuple[int, str]:
    """Send the form that confirms a change, and return the status and the page."""
    pairs = [("action", action), *(("job", one) for one in jobs), *fields.items()]
    response = web.post("/jobs/change", urlencode(pairs))
    return response.status, html.unescape(response.text)


def test_overview_shows_what_is_done_and_quarantined(web: WebServer) -> None:
    def text() -> str:
        return re.sub(r"<[^>]+>|\s+", " ", web.get("/").text)

    web.pipeline.sql(  # a short pass has measured no load
        "UPDATE pipeline.heartbeats SET cores = 2, cpu = 0.26, memory_used = 1200000000, "
        "memory_total = 4000000000"
    )
    eventually(lambda: "26 %" in text(), what="the ledger is read")
    eventually(lambda: "nothing is waiting" in text(), what="the buckets are listed")
    shown = re.sub(r" +", " ", text())
    assert "negatives negate 0 pending · 3 done · 2 ✕" in shown
    assert "small thumbnail 0 pending · 3 done" in shown
    assert "Done 3 Quarantined 2" in shown
    machine = r"vm-1 [\d.]+ 26 % 1\.2 GB of 4\.0 GB – \d+ (s|min) ago works"
    assert re.search(machine, shown), shown


def test_machines_are_shown_until_they_leave_the_stack(web: WebServer) -> None:
    insert = (
        "INSERT INTO pipeline.heartbeats (stack, pipeline, machine, last_pass, live, cores, cpu) "
        "VALUES (%s, 'negatives', %s, now() - %s::interval, %s, 8, 0.426)"
    )
    lease = (
        "INSERT INTO pipeline.leases SELECT %s, 'negatives', sha256(n::text::bytea), "
        "'key ' || n, md5(n::text), 9, 'vm-2', now() + interval '1 hour' "
        "FROM generate_series(1, 5) AS n"
    )
    name = web.pipeline.name
    for machine, age, live in (
        ("vm-2", "7 minutes", True),  # it died
        ("vm-3", "7 minutes", False),  # it ended
        ("vm-4", "2 days", True),
    ):
        web.pipeline.sql(insert, name, machine, age, live)
    web.pipeline.sql(lease, name)
    try:
        for path in ("/", "/pipelines/negatives"):
            text = eventually(partial(shown_with, web, path, "key 1"), what="the machine is shown")
            shown = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text))
            work = "vm-2 0 43 % – key 1 and 4 more 7 min ago problem No heartbeat for 7 min."
            assert work in shown
            assert "vm-3" not in shown
            assert "vm-4" not in shown
        assert "Machine vm-2: No heartbeat for 7 min." in web.get("/").text
    finally:
        web.pipeline.sql("DELETE FROM pipeline.heartbeats WHERE machine <> 'vm-1'")
        web.pipeline.sql("DELETE FROM pipeline.leases WHERE machine = 'vm-2'")


def test_overview_warns_of_what_will_fail(versioned: Pipeline) -> None:
    versioned.sql(f'ALTER ROLE "{versioned.user}" CONNECTION LIMIT 7')
    with WebServer(versioned) as server:
        server.login()
        text = eventually(partial(shown_with, server, "/", "notice wait"), what="it warns")
    assert "The database allows 7 connections" in text


def test_pipeline_shows_why_jobs_were_quarantined(web: WebServer) -> None:
    text = eventually(
        lambda: (found := web.get("/pipelines/negatives").text).count("quarantined") and found
    )
    assert "not a picture in a supported format" in text
    assert web.pipeline.input in text
    assert 'href="/pipelines/small"' in text
    assert web.get("/pipelines/none").status == 404


def test_names_of_files_are_text_and_no_markup(web: WebServer) -> None:
    own = job_id(web, f"{SCRIPT}.png")
    for path in ("/results", "/jobs", f"/jobs/{own}", f"/jobs?q={SCRIPT}"):
        text = web.get(path.replace("<", "%3C").replace(">", "%3E")).text
        assert SCRIPT not in text
        assert html.escape(SCRIPT) in text


def test_file_is_saved_and_never_run(web: WebServer) -> None:
    for key in ("evil.html", "evil.svg"):
        response = web.get(f"/files/{job_id(web, key)}/0")
        assert response.status == 200
        assert response.headers["content-type"] == "application/octet-stream"
        assert response.headers["content-security-policy"] == "sandbox; default-src 'none'"
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["content-disposition"].startswith("attachment;")


def test_result_is_downloaded_under_its_name(web: WebServer) -> None:
    response = web.get(f"/files/{job_id(web, f'folder/{NAME}')}/1")
    assert response.body == web.pipeline.get(f"folder/negated_{NAME}")
    assert response.headers["content-length"] == str(len(response.body))
    name = "negated_%D1%84%D0%BE%D1%82%D0%BE%201.png"
    assert response.headers["content-disposition"] == f"attachment; filename*=utf-8''{name}"


def test_kept_input_is_shown_beside_its_result(web: WebServer) -> None:
    own = job_id(web, "a.png")
    text = web.get("/results?pipeline=negatives").text
    for number in (0, 1):
        assert f'src="/thumbnails/{own}/{number}?size=small"' in text
    before, after = (web.get(f"/thumbnails/{own}/{number}?size=small") for number in (0, 1))
    for response in (before, after):
        assert response.headers["content-type"] == "image/webp"
        assert Image.open(io.BytesIO(response.body)).size == (300, 200)
        assert "sandbox" in response.headers["content-security-policy"]
    assert before.body != after.body
    assert web.get(f"/files/{own}/0").body == PHOTO


def test_input_of_a_later_pipeline_is_the_result_it_was_made_from(web: WebServer) -> None:
    own = job_id(web, "negated_a.png", "small")
    assert web.get(f"/files/{own}/0").body == web.pipeline.get("negated_a.png")


def test_faces_are_drawn_over_the_picture_they_were_found_in(web: WebServer) -> None:
    """The records of `faces`, which needs packages of its own."""
    own = job_id(web, f"folder/{NAME}")
    size = {"picture_width": 300, "picture_height": 200}
    for number in (1, 2):
        face = {"x": 40 * number, "y": 30, "width": 20, "height": 25, "score": 0.9, **size}
        insert = "INSERT INTO pipeline.records VALUES (%s, %s, %s)"
        web.pipeline.sql(insert, own, number, json.dumps(face))
    for path in (f"/jobs/{own}", "/results?pipeline=negatives"):
        (drawing,) = re.findall(
            r'<svg class="picture" viewBox="0 0 300 200".*?</svg>', web.get(path).text, re.DOTALL
        )
        assert f'<image href="/thumbnails/{own}/0' in drawing
        places = re.findall(r'class="box" x="(\d+)" y="(\d+)" width="20" height="25"', drawing)
        assert places == [("40", "30"), ("80", "30")]


def test_answers_are_a_table(web: WebServer) -> None:
    own = job_id(web, "negated_a.png", "small")
    for number, answer in enumerate(("Rome", "<b>Bern</b>"), 1):
        record = json.dumps({"question": f"where {number}?", "answer": answer, "score": 0.98765})
        insert = "INSERT INTO pipeline.records VALUES (%s, %s, %s)"
        web.pipeline.sql(insert, own, number, record)
    for path in (f"/jobs/{own}", "/results?pipeline=small"):
        text = web.get(path).text
        assert '<th scope="col">answer</th>' in text
        assert "<td>Rome</td>" in text
        assert "<td>&lt;b&gt;Bern&lt;/b&gt;</td>" in text
        assert '<td class="number">0.9877</td>' in text


def test_no_picture_is_made_of_other_files(web: WebServer) -> None:
    response = web.get(f"/thumbnails/{job_id(web, 'evil.svg')}/0")
    assert response.headers["content-type"].startswith("image/svg+xml")
    assert b"script" not in response.body  # a drawing of ours


def test_chosen_results_come_as_one_zip_file(web: WebServer) -> None:
    jobs = [job_id(web, "a.png"), job_id(web, "negated_a.png", "small")]
    response = web.get("/files/results.zip?chosen=1&" + urlencode([("job", one) for one in jobs]))
    assert response.headers["content-type"] == "application/zip"
    archive = zipfile.ZipFile(io.BytesIO(response.body))
    assert archive.testzip() is None
    assert sorted(archive.namelist()) == ["negatives/negated_a.png", "small/negated_a.png"]
    assert archive.read("negatives/negated_a.png") == web.pipeline.get("negated_a.png")


def test_all_results_come_as_one_zip_file(web: WebServer) -> None:
    archive = zipfile.ZipFile(io.BytesIO(web.get("/files/results.zip?pipeline=negatives").body))
    assert archive.testzip() is None
    names = archive.namelist()
    assert f"negatives/folder/negated_{NAME}" in names
    assert len(names) == 3
    assert not any("<" in name for name in names)  # Windows has no such names


def test_no_choice_downloads_nothing(web: WebServer) -> None:
    response = web.get("/files/results.zip?chosen=1")
    assert response.status == 400
    assert "No result is chosen: mark some first." in response.text


def test_deleted_results_are_named_in_the_zip_file(web: WebServer) -> None:
    web.pipeline.put("gone.png", PHOTO)
    web.pipeline.drain(pipeline="negatives")
    own = job_id(web, "gone.png")
    (version,) = web.pipeline.s3.list_object_versions(
        Bucket=web.pipeline.output, Prefix="negated_gone.png"
    )["Versions"]
    web.pipeline.s3.delete_object(
        Bucket=web.pipeline.output, Key="negated_gone.png", VersionId=version["VersionId"]
    )
    archive = zipfile.ZipFile(io.BytesIO(web.get(f"/files/results.zip?job={own}").body))
    assert archive.namelist() == ["MISSING.txt"]
    assert b"negated_gone.png" in archive.read("MISSING.txt")
    response = web.get(f"/files/{own}/1")
    assert response.status == 404
    assert f"is no longer in {web.pipeline.output}" in response.text


@pytest.mark.parametrize("state", ["done", "quarantined", "dropped"])
def test_jobs_are_listed_by_state(web: WebServer, state: str) -> None:
    query = "SELECT count(*) FROM pipeline.results WHERE outcome = %s"
    expected = web.pipeline.sql(query, state)[0]["count"]
    assert len(listed(web.get(f"/jobs?state={state}").text)) == expected


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("/jobs?state=lost", 404, "There is no state 'lost'"),
        ("/jobs?pipeline=none", 404, "There is no pipeline 'none'"),
        ("/files/results.zip?pipeline=none", 404, "There is no pipeline 'none'"),
        ("/jobs?before=x", 400, "before is 'x': use the links between the pages."),
        ("/results?before=1-99999999999999999999", 400, "use the links between the pages."),
        ("/results?before=999999999999999999999999-1", 400, "use the links between the pages."),
        ("/jobs/00000000000000000000000000000000", 404, "No job has an id that begins with"),
        ("/files/00000000000000000000000000000000/1", 404, "has no result 1."),
        ("/thumbnails/00000000000000000000000000000000/1?size=x", 404, "size 'x'"),
        ("/jobs/change?action=burn&job=00000000", 400, "The action 'burn' is unknown"),
        ("/jobs/change?action=drop", 400, "No job is chosen: mark some first."),
        ("/nothing", 404, "Not Found"),
        ("/results?q=a%00b", 400, "The address has a NUL"),
        ("/jobs?q=%00", 400, "The address has a NUL"),
        ("/jobs/%00", 400, "The address has a NUL"),
        ("/files/%00/1", 400, "The address has a NUL"),
        ("/upload?batch=%00", 400, "The address has a NUL"),
        (f"/files/{'0' * 32}/{10**30}", 404, "has no result 1000"),
        (f"/thumbnails/{'0' * 32}/{10**30}?size=x", 404, "size 'x'"),
        (f"/files/{'0' * 32}/{'9' * 5000}", 400, "more than 1000"),
    ],
)
def test_bad_addresses_get_one_sentence(
    web: WebServer, path: str, status: int, sentence: str
) -> None:
    response = web.get(path)
    assert response.status == status
    assert sentence in html.unescape(response.text)
    assert "Traceback" not in response.text


@pytest.mark.parametrize("token", [r"\\u0000", r"\\ud800", ""])
def test_tokens_that_are_none_have_no_state(web: WebServer, token: str) -> None:
    response = web.post("/upload/states", f'["{token}"]', content_type="application/json")
    assert (response.status, response.text) == (200, "[]")


def test_job_shows_its_timeline_and_lineage(web: WebServer) -> None:
    first, later = job_id(web, "a.png"), job_id(web, "negated_a.png", "small")
    text = web.get(f"/jobs/{first}").text
    assert "<strong>uploaded</strong>" in text
    assert "<strong>done</strong>" in text
    assert f'href="/jobs/{later}"' in text
    assert f'href="/jobs/{first}"' in web.get(f"/jobs/{later}").text


def test_search_for_an_id_leads_to_the_job(web: WebServer) -> None:
    own = job_id(web, "a.png")
    response = web.get(f"/jobs?q={own[:12]}")
    assert response.status == 303
    assert web.get(response.headers["location"]).headers["location"] == f"/jobs/{own}"


def test_waiting_job_is_listed_and_shown(web: WebServer) -> None:
    web.pipeline.put("waits.png", PHOTO)
    text = eventually(
        lambda: "waits.png" in (found := web.get("/jobs?state=waiting&q=waits").text) and found,
        what="the bucket is listed",
    )
    (own,) = listed(text)
    text = web.get(f"/jobs/{own}").text
    assert "waits.png" in text
    assert 'data-live="2"' in text
    web.pipeline.drain(pipeline="negatives")
    assert "<strong>done</strong>" in web.get(f"/jobs/{own}").text


def test_changes_need_the_token_of_the_page(web: WebServer) -> None:
    own = job_id(web, "evil.html")
    for fields in ({}, {"csrf": ""}, {"csrf": "x"}):
        status, text = change(web, "drop", own, **fields)
        assert status == 403
        assert "reload it and try again" in text
    assert "quarantined" in web.get(f"/jobs/{own}").text
    assert web.get(f"/jobs/change?action=drop&job={own}").status == 200  # asks only
    assert f"{SCRIPT}".encode() == web.get(f"/files/{own}/0").body


def test_quarantined_job_is_retried(web: WebServer) -> None:
    own = job_id(web, "evil.html")
    page = web.get(f"/jobs/change?action=retry&job={own}").text
    (token,) = set(re.findall(r'name="csrf" value="([^"]+)"', page))
    response = web.post("/jobs/change", urlencode({"csrf": token, "action": "retry", "job": own}))
    assert (response.status, response.headers["location"]) == (303, f"/jobs/{own}")
    assert web.pipeline.left() == ["evil.html"]
    web.pipeline.drain(pipeline="negatives")
    assert "Retried as" in web.get(f"/jobs/{own}").text
    status, text = change(web, "retry", own, csrf=web.csrf)
    assert status == 409
    assert f"Job {own[:12]} ('evil.html') was not retried" in text


def test_quarantined_job_is_dropped(web: WebServer) -> None:
    own, done = job_id(web, "evil.svg"), job_id(web, "a.png")
    status, text = change(web, "drop", own, done, csrf=web.csrf)
    assert status == 200
    assert "1 of 2 jobs dropped" in text
    assert "('a.png') was not dropped: it is done" in text
    text = web.get(f"/jobs/{own}").text
    assert "dropped" in text
    assert f"/thumbnails/{own}/0" not in text
    assert f"/files/{own}/0" not in text
    assert not any("evil.svg" in key for key in web.pipeline.keys(web.pipeline.quarantine))


def test_pages_hold_each_job_once_and_in_order(web: WebServer) -> None:
    """1,000 further jobs, some of them recorded at the same time."""
    web.pipeline.sql(
        """
        INSERT INTO pipeline.results (
            stack, pipeline, job_id, run_id, created_at, bucket, key, key_sha256, version_id, etag,
            last_modified, input_sha256, input_bytes, seconds, worker, outcome, transform
        )
        SELECT
            %s, CASE WHEN n %% 3 = 0 THEN 'small' ELSE 'negatives' END, md5(n::text), md5(n::text),
            timestamptz '2020-01-01 00:00Z' + (n / 7) * interval '1 minute', 'b', 'old-' || n,
            sha256(('old-' || n)::bytea), '', '', now(), 'a', 1, 1, 'vm', 'done', 'negate'
        FROM generate_series(1, 1000) AS n
        """,
        web.pipeline.name,
    )
    for query, expected in (("", 1000), ("?pipeline=small", 333), ("?q=old-99", 11)):
        seen: list[str] = []
        path: str | None = f"/results{query}"
        while path:
            text = web.get(path).text
            seen += listed(text)
            older = re.search(r'href="([^"]+)" rel="next"', text)
            path = html.unescape(older[1]) if older else None
        rows = web.pipeline.sql("SELECT job_id, key, created_at FROM pipeline.results")
        by_id = {row["job_id"]: row for row in rows}
        old = [by_id[one] for one in seen if by_id[one]["key"].startswith("old-")]
        assert len(old) == len({row["key"] for row in old}) == expected
        times = [row["created_at"] for row in old]
        assert times == sorted(times, reverse=True)
        assert len(seen) == len(set(seen))


def test_input_is_shown_that_is_the_result_of_another_job(web: WebServer) -> None:
    job = job_id(web, "negated_a.png", "small")
    for path in (f"/jobs/{job}", "/results?pipeline=small&q=negated_a.png"):
        assert f"/thumbnails/{job}/0" in web.get(path).text
    assert web.get(f"/files/{job}/0").status == 200


def test_kept_input_that_is_no_picture_is_downloaded(web: WebServer) -> None:
    pipeline = web.pipeline
    pipeline.s3.put_object(Bucket=f"{pipeline.name}-rows-input", Key="rows.csv", Body=b"a,b\n1,2\n")
    pipeline.drain(pipeline="rows")
    job = job_id(web, "rows.csv", "rows")
    text = web.get(f"/jobs/{job}").text
    assert f'href="/files/{job}/0"' in text
    assert f"/thumbnails/{job}/0" not in text
    assert web.get(f"/files/{job}/0").body == b"a,b\n1,2\n"


def test_input_of_a_camera_is_not_shown_after_its_deletion(web: WebServer) -> None:
    """Its origin is a message, which is no job that stored something."""
    job, message = "c" * 32, "d" * 32
    web.pipeline.sql(
        """
        INSERT INTO pipeline.results (
            stack, pipeline, job_id, run_id, parent_id, parent_number, bucket, key, key_sha256,
            version_id, etag, last_modified, input_sha256, input_bytes, seconds, worker, outcome,
            transform
        )
        VALUES (
            %s, 'small', %s, %s, %s, 1, 'b', 'door/b1/1.jpg', sha256('door/b1/1.jpg'), '', '',
            now(), 'a', 1, 1, 'vm', 'done', 'thumbnail'
        )
        """,
        web.pipeline.name,
        job,
        job,
        message,
    )
    for path in (f"/jobs/{job}", "/results?pipeline=small&q=door/b1/1.jpg"):
        text = web.get(path).text
        assert "door/b1/1.jpg" in text
        assert f"/thumbnails/{job}/0" not in text
        assert f"/files/{job}/0" not in text


def test_database_outage_is_one_sentence(
    web: WebServer, tmp_path: object, moto: ObjectStore, database: PostgreSQL
) -> None:
    pipeline = web.pipeline
    pipeline.configure(database={"port": reserved_port()})
    try:
        with WebServer(pipeline) as server:
            response = server.login().get("/results")
            assert response.status == 503
            assert "The connection to the database" in response.text
            eventually(lambda: "The connection to the database" in server.get("/").text)
    finally:
        pipeline.configure()
