"""`demo --stack`: try a stack on its clouds, step by step, and report what was found."""

import platform
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cli.bucket_client import BucketClient
from cli.check_store.check import Severity
from cli.check_store.checks import CHECKS
from cli.check_store.credentials import Credentials
from cli.check_store.report import Report
from cli.check_store.runner import run_checks
from cli.check_store.store import Store
from cli.contact_sheet import is_negative
from cli.engine import VERSION
from cli.errors import CommandError
from cli.machines.fleet import await_fleet
from cli.machines.host import ask, first
from cli.paths import CHECKOUT
from cli.results import Row, read_results
from cli.stacks import outputs
from cli.stacks.cloud_stack import CloudStack
from cli.stacks.outputs import Outputs, Pipeline
from cli.stacks.progress import count_changes
from cli.stacks.target import command_line
from cli.terminal import print_progress, print_result, visible
from cli.uploads import Photo, await_results, send
from worker.errors import PipelineError
from worker.quantities import counted
from worker.store.store import hash_file

#: A new machine installs its packages before the first pass.
_PATIENCE_SECONDS = 900
_REFUSED = "not a photo.jpg"
_NEGATE = "negate"
#: More than a demo makes.
_ROWS = 10_000
_SETTINGS = (
    *("computeCloud", "computeRegion", "image", "flavor", "databaseCloud", "databaseRegion"),
    *("databaseVersion", "databaseFlavor", "objectStore", "objectStoreEndpoint"),
)


@dataclass(frozen=True)
class Step:
    """One line of the report."""

    title: str
    result: str
    seconds: float
    failed: bool = False


class CloudDemo:
    """Deploys a stack that is not deployed yet, tries it, and destroys it."""

    def __init__(self, stack: CloudStack, photos: Sequence[Photo]) -> None:
        self._stack = stack
        self._photos = photos
        self._steps: list[Step] = []

    def run(self, *, keep: bool) -> None:
        """Run all steps and print the report.

        Args:
            keep: Do not destroy the stack.

        Raises:
            CommandError: The stack is deployed already or uses what exists (nothing was changed),
                or a step failed.
        """
        self._refuse_data()
        steps: list[tuple[str, Callable[[], str]]] = [
            ("Settings, clouds, quotas", self._check),
            ("up", self._up),
            ("preview", self._preview),
            ("Object store", self._check_store),
            ("Machines", self._await_machines),
            ("Photos", self._send),
            ("Results", self._compare),
            ("Database", self._read_rows),
            ("A file that is not a photo", self._refuse),
            ("Status", self._status),
        ]
        is_well = all(self._run_step(title, function) for title, function in steps)
        if not keep and len(self._steps) > 1:
            is_well = self._run_step("destroy", self._destroy) and is_well
        print_result("\n".join(self._report()))
        if not is_well:
            failed = next(step for step in self._steps if step.failed)
            raise CommandError(f"The step '{failed.title}' failed: {failed.result}")

    def _refuse_data(self) -> None:
        """Refuse a stack that holds the user's data: the demo would destroy it."""
        name = self._stack.name
        if self._stack.exists:
            raise CommandError(
                f"Stack '{name}' is deployed already, and a demo ends by destroying it: 'init' "
                "another stack for the demo."
            )
        settings = self._stack.settings()
        if settings.get("adoptBuckets"):
            raise CommandError(
                f"Stack '{name}' adopts buckets (adoptBuckets), which the demo would empty: 'init' "
                "another stack for the demo."
            )
        for setting in ("database", "objectStore"):
            if settings.get(setting) == "existing":
                raise CommandError(
                    f"Stack '{name}' uses what exists already ({setting}: existing), where the "
                    "demo would leave its photos and rows: 'init' another stack for the demo."
                )

    def _run_step(self, title: str, function: Callable[[], str]) -> bool:
        print_progress(f"— {title}")
        started = time.monotonic()
        try:
            result, failed = function(), False
        except PipelineError as error:
            result, failed = str(error).replace("\n", " "), True
        self._steps.append(Step(title, result, time.monotonic() - started, failed))
        return not failed

    def _check(self) -> str:
        self._stack.check()
        return "no problems"

    def _up(self) -> str:
        self._stack.open().up()
        return f"{len(self._stack.open().resources())} resources in the state"

    def _preview(self) -> str:
        changes = count_changes(self._stack.open().preview())
        if changes:
            raise CommandError(f"{changes} resources would change although nothing was changed")
        return "no change"

    def _check_store(self) -> str:
        found = self._outputs
        store = Store(
            found.s3_endpoint,
            Credentials(found.s3_access_key, found.s3_secret_key),
            region=found.s3_region,
        )
        findings = Report(store.endpoint, run_checks(store, CHECKS, lambda _: None)).findings
        names = [
            finding.check.name
            for finding in findings
            if finding.consequence.severity is not Severity.NOTE
        ]
        if names:
            return f"NOT SAFE for photos: {', '.join(names)} (see check-store)"
        return f"safe; {len(findings)} findings that are good to know"

    def _await_machines(self) -> str:
        count = len(self._stack.hosts())
        if count == 1:
            return "one"
        await_fleet(self._stack, len(self._outputs.pipelines), _PATIENCE_SECONDS)
        return f"{count} share the work"

    def _send(self) -> str:
        """Send the photos to every pipeline that takes uploads, and wait."""
        started = time.monotonic()
        for pipeline in self._pipelines():
            client = self._client(pipeline)
            report = send(client, self._photos, lambda _: None)
            if report.failures:
                raise CommandError("; ".join(report.failures))
        for pipeline in self._pipelines():
            keys = [photo.key for photo in self._photos]
            await_results(self._client(pipeline), keys, _PATIENCE_SECONDS)
        sent = f"{len(self._photos)}{self._places()} processed"
        return f"{sent} {time.monotonic() - started:.0f} s after put"

    def _compare(self) -> str:
        """Fetch every result of a pipeline that negates: it must be the negative of its photo."""
        compared = 0
        for pipeline, photo, row in self._rows():
            if pipeline.transform != _NEGATE:
                continue
            with tempfile.TemporaryDirectory() as folder:
                result = Path(folder, Path(row["output_key"]).name)
                self._client(pipeline).download("", row["output_key"], result)
                judged = is_negative(photo.path, result)
            if judged is False:
                raise CommandError(f"{visible(result.name)} is not the negative of its photo")
            compared += bool(judged)
        return f"{compared} are the negatives of their photos"

    def _read_rows(self) -> str:
        count = 0
        for pipeline, photo, row in self._rows():
            with tempfile.TemporaryDirectory() as folder:
                result = Path(folder, "result")
                self._client(pipeline).download("", row["output_key"], result)
                hashes = (hash_file(photo.path).sha256, hash_file(result).sha256)
            if hashes != (row["input_sha256"], row["output_sha256"]):
                raise CommandError(f"{visible(photo.key)} and its row have different hashes")
            count += 1
        return f"{counted(count, 'row')} with the hashes of photo and result"

    def _rows(self) -> Iterator[tuple[Pipeline, Photo, Row]]:
        """Yield each pipeline, photo, and the row that records its result."""
        known = {
            (row.get("pipeline"), row["input_key"]): row
            for row in read_results(first(self._stack), last=_ROWS)
        }
        for pipeline in self._pipelines():
            for photo in self._photos:
                row = known.get((pipeline.name, photo.key))
                if row is None or row["outcome"] != "done":
                    raise CommandError(f"{visible(photo.key)} has no row with outcome done")
                yield pipeline, photo, row

    def _refuse(self) -> str:
        pipeline = next((each for each in self._pipelines() if each.transform == _NEGATE), None)
        if pipeline is None:
            return "left out: no pipeline negates pictures"
        client = self._client(pipeline)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, _REFUSED)
            file.write_text("not a photo\n")
            send(client, [Photo(file, _REFUSED)], lambda _: None)
            await_results(client, [_REFUSED], _PATIENCE_SECONDS)
        rows = list(read_results(first(self._stack), last=1, quarantined=True))
        if [row["input_key"] for row in rows] != [_REFUSED]:
            raise CommandError("it was not quarantined")
        return f"quarantined: {rows[0]['reason']}"

    def _status(self) -> str:
        report = ask(first(self._stack), ["status"])
        problems = [each["obstacle"] for each in report["machines"] if each["obstacle"]]
        if problems:
            raise CommandError("; ".join(problems))
        return f"no problem, {counted(report['backlog']['count'], 'upload')} waiting"

    def _destroy(self) -> str:
        CloudStack(self._stack.name).destroy(data=True)  # as another command would
        return "nothing is left, no strays"

    @cached_property
    def _outputs(self) -> Outputs:
        return outputs.read(self._stack.outputs())

    def _pipelines(self) -> list[Pipeline]:
        """Return the pipelines that take uploads; the others read the results of these."""
        return [each for each in self._outputs.pipelines.values() if not each.sources]

    def _places(self) -> str:
        names = [each.name for each in self._pipelines()]
        return f" in each of {', '.join(names)}" if len(names) > 1 else ""

    def _client(self, pipeline: Pipeline) -> BucketClient:
        return BucketClient(self._outputs, pipeline, self._stack.name)

    def _report(self) -> list[str]:
        """Return the report as Markdown, without addresses, keys and ids."""
        settings = self._stack.settings()
        used = [f"{name} {settings[name]}" for name in _SETTINGS if settings.get(name)]
        lines = [
            f"## Demo of image-pipeline, {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}",
            "",
            f"- program {_revision()}, Pulumi {VERSION}, Python {platform.python_version()}, "
            f"{platform.system()} {platform.machine()}",
            f"- {', '.join(used)}",
            "",
            "| step | result | seconds |",
            "| --- | --- | ---: |",
        ]
        for step in self._steps:
            outcome = f"FAILED: {step.result}" if step.failed else step.result
            cell = visible(outcome).replace("|", "\\|")
            lines.append(f"| {step.title} | {cell} | {step.seconds:.0f} |")
        return lines


def _revision() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    answer = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    return answer.stdout.strip() or "of unknown revision"


def next_steps(stack: str) -> str:
    """Return what to try on a stack that a demo keeps."""
    return f"It keeps running: '{command_line('destroy --data', stack)}' takes it down."
