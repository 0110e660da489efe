"""`./pipeline demo` on a fresh clone, for root and for a normal user."""

import html
import os
import pwd
import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from urllib.request import HTTPCookieProcessor, build_opener

import pytest
from PIL import Image

from cli.paths import LocalPaths
from local.api.state import MACHINES as FOLDER
from local.cloud import LocalCloud
from tests.checkout import (
    Checkout,
    copy_project,
    environment,
    make_checkout,
    output_until,
    seed_cache,
)
from tests.engine.snapshot import take_snapshot
from tests.engine.terminal import Terminal

MACHINES = tuple(f"image-pipeline-local-vm{number}" for number in ("", "-2", "-3"))
SAMPLES = ("cat.jpg", "coffee.png", "galaxies.jpg", "retina.tif", "rocket.jpg")


def assert_demo_tells_all(text: str) -> None:
    """The table has every photo; the contact sheet has a row for each."""
    for name in SAMPLES:
        assert re.search(rf"negated_{name} +[0-9a-f]{{16}} +\d{{4}}-\d\d-\d\dT[\d:]+Z +\d", text), (
            text
        )
    sheet = re.search(r"Before and after: (.+\.png)", text)
    assert sheet, text
    with Image.open(sheet[1]) as picture:
        assert picture.height > 200 * len(SAMPLES)
    assert "Nothing is left" in text


def test_demo_shows_the_page_and_leaves_nothing_but_the_cache(
    checkout: Checkout, base: Path
) -> None:
    own, browser = checkout.folder / "pipelines.local.yaml", base / "browser"
    own.write_text("not read: [")
    browser.write_text('#!/bin/sh\ncp "${1#file://}" "${0%/*}/opened.html"\n')
    browser.chmod(0o755)
    before = take_snapshot(base)
    environment = {**checkout.environment, "BROWSER": f"{browser} %s"}
    with Terminal(checkout.command("demo", "--web"), checkout.folder, environment) as person:
        person.expect("Opened the page in the browser", 120)
        page = log_in((base / "opened.html").read_text())
        person.expect("Press Enter", 120)
        shown = page("/results")
        pictures = re.findall(r'src="(/thumbnails/[^"]+)"', shown)
        assert all(name in shown for name in SAMPLES)
        assert len(pictures) == 2 * len(SAMPLES)  # before and after
        assert len(page(html.unescape(pictures[0]))) > 1000
        person.answer("to take everything down")
        assert_demo_tells_all(person.end())
    (base / "opened.html").unlink()
    assert take_snapshot(base).left_since(before) == {}
    assert own.read_text() == "not read: ["
    assert not (checkout.folder / ".local").exists()
    status = subprocess.run(
        ["git", "status", "--porcelain"], cwd=checkout.folder, capture_output=True, check=True
    )
    assert status.stdout == b""


def log_in(opened: str) -> Callable[[str], str]:
    """Follow what a browser was given; return what gets a path of the page as Latin-1."""
    (address,) = re.findall(r'content="0;url=([^"]+)"', opened)
    origin = re.match(r"http://127\.0\.0\.1:\d+", address)
    assert origin, address
    browser = build_opener(HTTPCookieProcessor())
    browser.open(html.unescape(address)).close()
    return lambda path: browser.open(f"{origin[0]}{path}").read().decode("latin-1")


def without_venv(folder: Path) -> None:
    """A `python3` as on a bare Debian, for PATH."""
    folder.mkdir()
    program = folder / "python3"
    program.write_text('#!/bin/sh\n[ "$2" = venv ] && exit 1\nexec /usr/bin/python3 "$@"\n')
    program.chmod(0o755)


@pytest.mark.timeout(900)
def test_normal_user_needs_only_the_clone(base: Path, pulumi: Path) -> None:
    """It also needs Python with venv; without it the message says so."""
    if os.geteuid() != 0:
        pytest.skip("only root can switch to another user")
    if subprocess.run(["/usr/bin/python3", "-m", "ensurepip", "--version"], check=False).returncode:
        pytest.skip("this machine's own Python has no venv (Debian package 'python3-venv')")
    other_user = pwd.getpwnam("games")
    folder, home, temporary = (base / name for name in ("project", "home", "tmp"))
    copy_project(folder)
    seed_cache(home, pulumi)
    temporary.mkdir(mode=0o1777)
    for place in (folder, home, temporary):
        for path in (place, *place.rglob("*")):
            os.chown(path, other_user.pw_uid, other_user.pw_gid, follow_symlinks=False)
    become = [f"--reuid={other_user.pw_uid}", f"--regid={other_user.pw_gid}", "--clear-groups"]
    bare = base / "bare"
    theirs = Checkout(
        folder, environment(home, temporary, PATH=f"{bare}:/usr/bin:/bin"), ["setpriv", *become]
    )
    without_venv(bare)
    printed = theirs.pipeline("demo", code=2).stderr
    assert "'python3 -m venv' failed: install it" in printed
    assert "apt-get install python3-venv" in printed
    shutil.rmtree(bare)  # what that installation would do
    assert_demo_tells_all(theirs.pipeline("demo").stdout)
    assert not (folder / ".local").exists()


@pytest.fixture(scope="module")
def kept(shared_checkout: Checkout) -> subprocess.CompletedProcess[str]:
    """The result of a kept demo with three machines, the user's own photo and a broken file."""
    folder = shared_checkout.folder.parent
    photo, broken = folder / "my cat.jpg", folder / "broken.jpg"
    shutil.copy(shared_checkout.folder / "samples" / "cat.jpg", photo)
    broken.write_bytes(b"not a picture at all")
    own = (str(photo), str(broken))
    return shared_checkout.pipeline("demo", "--machines", "3", "--keep", *own, code=1)


def test_photo_is_negated_and_other_file_refused(
    kept: subprocess.CompletedProcess[str],
) -> None:
    assert "negated_my cat.jpg" in kept.stdout
    assert "broken.jpg (refused)" in kept.stdout
    assert "1 of 2 files could not be negated" in kept.stderr


def test_each_machine_did_some_of_the_photos(
    kept: subprocess.CompletedProcess[str], shared_checkout: Checkout
) -> None:
    shown = re.findall(r"^(\S+-vm\S*) +(\d+)$", kept.stdout, re.MULTILINE)
    assert [name for name, _ in shown] == list(MACHINES)
    jobs = shared_checkout.json("jobs", "--last", "0")
    assert Counter(job["machine"] for job in jobs) == {name: int(count) for name, count in shown}
    assert len({job["key"] for job in jobs}) == len(jobs) > 3 * 24


@pytest.mark.usefixtures("kept")
def test_logs_name_the_machine_of_each_line(shared_checkout: Checkout) -> None:
    lines = shared_checkout.pipeline("logs", "-n", "2", "--pipeline", "negatives").stdout
    named = [line.partition(": ")[0] for line in lines.splitlines()]
    assert named == [name for name in MACHINES for _ in range(2)]
    second = shared_checkout.pipeline("logs", "-n", "1", "--machine", "2").stdout
    assert second.startswith('{"time"')
    for choice in ("2", MACHINES[1]):
        refused = shared_checkout.pipeline("ssh", "--machine", choice, code=1).stderr
        assert f"Machine {MACHINES[1]} is a process on this machine" in refused
    assert "choose one of" in shared_checkout.pipeline("ssh", "--machine", "4", code=1).stderr


@pytest.mark.usefixtures("kept")
def test_machine_that_is_taken_away_leaves_nothing(shared_checkout: Checkout) -> None:
    cloud = LocalCloud(shared_checkout.folder / ".local/cloud")
    first, second, third = cloud.machines()
    pids = [(kept.folder / "machine.pid").read_text() for kept in (first, second)]
    settings = LocalPaths(shared_checkout.folder / ".local").own_pipelines
    settings.write_text(settings.read_text().replace("machines: 3", "machines: 2"))
    shared_checkout.pipeline("up")
    assert cloud.machines() == [first, second]
    assert [(kept.folder / "machine.pid").read_text() for kept in (first, second)] == pids
    names = {path.name for path in (cloud.folder / FOLDER).iterdir()}
    assert names == {first.folder.name, second.folder.name, f"{first.name}.ports.json"}
    assert take_snapshot(third.folder).processes == frozenset()


@pytest.mark.usefixtures("kept")
def test_demo_beside_a_deployed_stack_is_refused(shared_checkout: Checkout) -> None:
    answer = shared_checkout.pipeline("demo", code=1)
    assert "deployed already" in answer.stderr
    assert shared_checkout.json("log")  # and the deployed one was left alone
    shared_checkout.pipeline("destroy")
    assert take_snapshot(shared_checkout.folder).processes == frozenset()
    assert not (shared_checkout.folder / ".local").exists()


@pytest.mark.parametrize(
    "moment",
    [
        *(pytest.param(each, marks=pytest.mark.long) for each in ("Container", "TroveInstance")),
        "Instance",
        pytest.param("Negating", marks=pytest.mark.long),
    ],
)
def test_destroy_cleans_up_after_a_killed_demo(moment: str, base: Path, pulumi: Path) -> None:
    checkout = make_checkout(base, pulumi)
    before = take_snapshot(base)
    demo = checkout.start("demo")
    output_until(demo, rf"created +{moment}\b|^{moment}")
    os.killpg(demo.pid, signal.SIGKILL)
    demo.wait()
    checkout.pipeline("destroy")
    assert take_snapshot(base).left_since(before) == {}
    assert not (checkout.folder / ".local").exists()
