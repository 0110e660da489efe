"""The steps of a pass, and the functions of the worker that each consists of."""

from collections.abc import Mapping, Sequence

from bench.stacks import Frame, Stack

START, OTHER = "start: Python, imports, the sandbox", "other"
_IMPORTS = "importlib._bootstrap"
#: Step → places: MODULE with those inside it, MODULE:FUNCTION, or MODULE:FUNCTION:TEXT of a line
#: (FUNCTION may be empty). A stack belongs to the innermost of its frames that is a place; of
#: several places of one frame, the longest counts. Requests, files and hashes thus belong to the
#: step that asks for them.
STEPS: Mapping[str, Sequence[str]] = {
    START: (
        *("worker.__main__", "worker.command_line", "worker.settings", "worker.environment"),
        *("worker.jobs.drain", "worker.sandbox.child_process:__init__"),
        *("worker.sandbox.child_process:_started", "worker.sandbox.confinement"),
        *("worker.sandbox.landlock", "worker.sandbox.seccomp", "worker.ledger.connection"),
        "worker.sandbox.application:__init__",
    ),
    "list the bucket": (
        *("worker.jobs.own_listing", "worker.jobs.bucket_listing", "worker.uploads.listing"),
        *("worker.store.s3_listing", "worker.store.s3_store:list_pages"),
    ),
    "schedule and wait": (
        *("worker.jobs.scheduler", "worker.jobs.pass_state", "worker.jobs.work_queue"),
        *("worker.jobs.waiting", "worker.jobs.paused", "worker.jobs.pending"),
        *("worker.jobs.bucket_pass", "worker.jobs.batch", "worker.jobs.processor"),
        *("worker.jobs.disk", "concurrent.futures"),
    ),
    "folders of batches": ("tempfile", "shutil"),
    "receive": ("worker.jobs.fetch",),
    "hash the upload": ("worker.store.s3_store::sha256.update(",),
    "hand over to the transform and back": (
        *("worker.jobs.transform", "worker.jobs.inputs", "worker.sandbox"),
    ),
    "transform": ("worker.transforms",),
    "verify the result": (
        *("worker.transforms.negate.verification", "worker.transforms.negate.tiff.verification"),
    ),
    "hash the result": ("worker.store.store:hash_file", "worker.store.store:hash_bytes"),
    "send": (
        *("worker.jobs.publish", "worker.jobs.result_metadata", "worker.store.s3_store:put"),
        "worker.transforms.output_keys",
    ),
    "record, and leases": (
        *("worker.ledger", "worker.jobs.batch:_settle", "worker.jobs.lease_keeper"),
        *("worker.jobs.heartbeat", "psycopg"),
    ),
    "delete": (
        *("worker.jobs.deleter", "worker.jobs.deletion", "worker.jobs.processor:delete"),
        "worker.store.s3_deletion",
    ),
    "log": ("worker.logs", "logging", "worker.jobs.processor:_report"),
}


def step_of(stack: Stack) -> str:
    """Return the step that a stack belongs to."""
    if any(frame.module == _IMPORTS for frame in stack):
        return START
    return next((step for frame in stack if (step := _step(frame))), OTHER)


def _step(frame: Frame) -> str | None:
    """Return the step of the longest place that is the frame's, None if there is none."""
    return next((step for place, step in _PLACES if _is_at(frame, place)), None)


def _is_at(frame: Frame, place: str) -> bool:
    module, _, rest = place.partition(":")
    function, _, text = rest.partition(":")
    return (
        f"{frame.module}.".startswith(f"{module}.")
        and function in ("", frame.function)
        and text in frame.text
    )


_PLACES = sorted(
    ((place, step) for step, places in STEPS.items() for place in places),
    key=lambda line: len(line[0]),
    reverse=True,
)
