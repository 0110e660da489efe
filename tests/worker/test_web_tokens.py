"""The secrets of the page and the upload API."""

import re
import subprocess
import sys

from tests.worker.pipeline import ROOT
from worker.web.tokens import bearer_token, csrf_token, is_same, page_key, session_id


def test_every_secret_is_another_and_stays() -> None:
    token = bearer_token("a secret key", 1)
    key = page_key("a secret key", 1)
    made = [token, key, session_id(key), csrf_token(key)]
    made += [bearer_token("a secret key", 2), bearer_token("another", 1)]
    made += [page_key("a secret key", 2), page_key(token, 1)]
    assert len(set(made)) == len(made)
    assert all(re.fullmatch("[A-Za-z0-9_-]{32}", one) for one in made)
    # A machine and the commands of another release compute the same.
    assert token == "stVek44I7iklv49kXW5-N6cBtumtDjd_"


def test_what_a_client_sends_is_compared() -> None:
    assert is_same("abc", "abc")
    for given in ("", "ab", "abcd", "abd", "ä", "\udcff"):
        assert not is_same(given, "abc")


def test_they_need_no_installed_package() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", "import sys; sys.path.insert(0, sys.argv[1]); "
         "import worker.web.tokens", str(ROOT)],
        check=False,
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
