"""A newer upload of the same key, at every moment of a pass: it is never lost.

The documented exception: between HEAD and DELETE on a store that has neither versions nor
conditional deletes.
"""

from urllib.parse import urlsplit

import pytest

from bench.proxy import Proxy
from tests.worker.pictures import decode, encode, error, negated, picture
from tests.worker.pipeline import Pipeline

OLDER, NEWER = encode(picture(1), "PNG"), encode(picture(2), "PNG")
KEY = "x.png"
MOST = 60


class Uploader:
    """Uploads the newer photo at one request, without the proxy.

    How often a pass lists again depends on the time: such requests do not count.
    """

    def __init__(self, pipeline: Pipeline, number: int, phase: str) -> None:
        self._pipeline, self._number, self._phase = pipeline, number, phase
        self._counted = list[int]()
        self._is_listed = False
        self.done = self.in_the_window = False

    def __call__(self, turn: int, phase: str, request: bytes) -> None:
        is_listing = b"?encoding" in request
        if phase == "before" and not (is_listing and self._is_listed):
            self._is_listed |= is_listing
            self._counted.append(turn)
        if (phase, [turn]) == (self._phase, self._counted[self._number - 1 : self._number]):
            self._pipeline.put(KEY, NEWER)
            self.done = True
            method, _, path = request.partition(b" ")
            of_input = path.startswith(f"/{self._pipeline.input}/{KEY}".encode())
            self.in_the_window = of_input and (method, phase) in (
                (b"HEAD", "after"),
                (b"DELETE", "before"),
            )


@pytest.mark.parametrize("phase", ["before", "after"])
def test_a_newer_upload_at_every_request(pipeline: Pipeline, phase: str) -> None:
    url = urlsplit(pipeline.store.endpoint)
    turn, windows, done = 0, 0, True
    while done:
        turn += 1
        assert turn < MOST
        pipeline.put(KEY, OLDER)
        uploader = Uploader(pipeline, turn, phase)
        with Proxy(str(url.hostname), int(url.port or 0), uploader) as proxy:
            pipeline.configure(store={"endpoint": f"http://127.0.0.1:{proxy.port}"})
            pipeline.drain()
        done = uploader.done
        pipeline.configure()
        pipeline.drain()
        assert pipeline.left() == []
        newest = NEWER if done else OLDER
        if uploader.in_the_window and pipeline.kind == "plain":
            windows += 1
        else:
            assert error(decode(pipeline.get("negated_x.png")), negated(newest)) == 0
            assert pipeline.rows()[-1]["outcome"] == "done"
            if pipeline.versions:
                assert len(pipeline.rows()) == 1 + done
        pipeline.sql("TRUNCATE pipeline.results")
        pipeline.s3.delete_object(Bucket=pipeline.output, Key="negated_x.png")
    assert turn > 5
    assert windows == (pipeline.kind == "plain")
