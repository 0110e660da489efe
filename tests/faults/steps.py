"""The steps of a pass, as requests that a proxy sees."""

import re
import threading
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from bench.oracle import Oracle
from tests.faults.chain import DELETED
from worker.ledger.postgres_ledger import statement

STORE, DATABASE = "store", "database"
#: Step -> a pattern of its requests' first lines; {…} are buckets.
REQUESTS = {
    "ask for versions": r"GET /{input}\?versioning",
    "list": r"GET /{input}\?encoding",
    "check bucket": r"HEAD /[^/]+ ",
    "fetch": r"GET /{input}/",
    "put result": r"PUT /{output}/",
    "ask whether the reader has versions": r"GET /{reader}\?versioning",
    "look for copy": r"HEAD /{reader}/",
    "look at result": r"(GET|HEAD) /{output}/",
    "copy to reader": r"PUT /{reader}/",
    "look at upload": r"HEAD /{input}/",
    "archive": r"PUT /{archive}/",
    "quarantine": r"PUT /{quarantine}/(?!.*\.json )",
    "put note": r"PUT /{quarantine}/.*\.json ",
    "delete withdrawn": rf"DELETE /{{input}}/{DELETED}|POST /{{input}}\?delete.*",
    "delete": r"DELETE /{input}/|POST /{input}\?delete",
    "put run's file": r"PUT /{input}/",
    "fetch member": r"GET /{members}/",
}
_OF_THE_GATHERER = (
    *("begin_gathering", "ended_runs", "runs", "add_gathers", "note_gathers", "gathered_bytes"),
)
#: The statements of a pass, by the names of their files in worker/ledger/sql.
STATEMENTS = (
    *("cancel_tasks", "end_leases", "lost_leases", "unfinished_attempts", "find_origins"),
    *("start_jobs", "record_results", "clear_attempts", "heartbeat"),
    *(*_OF_THE_GATHERER, "gathers"),
)
#: Steps of pipelines that gather, and of no others.
GATHERING = ("put run's file", "fetch member", *_OF_THE_GATHERER, "gathers")
#: procrastinate's statements, and those of a transaction, by what they contain.
_TASKS = {
    "register worker": b"procrastinate_register_worker",
    "listen": b"LISTEN ",
    "fetch task": b"procrastinate_fetch_job",
    "finish task": b"procrastinate_finish_job",
}
_DEFERRING = {
    "begin": b"BEGIN",
    "defer tasks": b"procrastinate_defer_jobs",
    "commit": b"COMMIT",
}
#: The statements that passes of a fleet have beside these, and those of the machine that lists.
_SHARING = ("live_machines", "lead", "queue_heartbeat")
_ASSIGNING = ("due_keys", "queue_depth", "stay_lister", "assign_keys")
ASSIGNING = ("stay_lister", "assign_keys", *_DEFERRING)
#: Steps that only the machine has that lists for all.
LISTING = (
    *("ask for versions", "list", "check bucket", "put run's file", "unfinished_attempts"),
    *(*_OF_THE_GATHERER, *_ASSIGNING, *_DEFERRING),
)
#: What is asked now and then, and is no step: statements, and parts of others.
_OTHERS = ("renew_leases", "resign", "return_tasks")
_OTHER_PARTS = (
    *(b"procrastinate_update_heartbeat", b"procrastinate_prune_stalled_workers"),
    *(b"procrastinate_unregister_worker", b"abort_requested = true"),
    *(b"ROLLBACK", b"SET idle_in_transaction_session_timeout"),
)
CONNECT, LOG_IN, FIND_POOLER = "connect", "log in", "find pooler"
OTHER = "other"
STEPS = {STORE: tuple(REQUESTS), DATABASE: (CONNECT, FIND_POOLER, *STATEMENTS)}
FLEET_STEPS = {
    STORE: tuple(REQUESTS),
    DATABASE: (CONNECT, FIND_POOLER, *STATEMENTS, *_SHARING, *_ASSIGNING, *_TASKS, *_DEFERRING),
}


@dataclass(frozen=True)
class Steps:
    """Names the requests of one pipeline's passes.

    Attributes:
        patterns: The patterns of the store's requests by step.
    """

    patterns: Mapping[str, re.Pattern[str]]

    @classmethod
    def of(cls, name: str, oracle: Oracle) -> "Steps":
        """Return the steps of a pipeline."""
        rules = oracle.pipelines[name]
        readers = [oracle.pipelines[reader].input for reader in rules.readers]
        buckets = {
            "input": rules.input,
            "output": rules.output,
            "reader": readers[0] if readers else "none",
            "archive": oracle.archive,
            "members": oracle.pipelines[rules.gathers[0]].output if rules.gathers else "none",
            "quarantine": oracle.quarantine,
        }
        return cls({step: re.compile(text.format(**buckets)) for step, text in REQUESTS.items()})

    def of_store(self, request: bytes) -> str | None:
        """Return the step of a request to the store, None if it is not known."""
        line = request.partition(b" HTTP/")[0].decode() + " "
        return next((step for step, one in self.patterns.items() if one.match(line)), None)


class Naming:
    """Names the requests that a proxy before a server sees.

    Args:
        steps: The steps of the pipeline.
        peer: The server.
    """

    def __init__(self, steps: Steps, peer: str) -> None:
        self._steps, self._peer = steps, peer
        self._names: dict[int, str | None] = {}  # by the requests' numbers
        # Of each session, whose requests come from a thread of their own: prepared statements.
        self._prepared: dict[int, dict[bytes, str]] = defaultdict(dict)

    def name(self, turn: int, phase: str, request: bytes) -> str | None:
        """Return the step of a request, None if it is not known; called as a proxy's `act`."""
        if phase == "before" and self._peer == STORE:
            self._names[turn] = self._steps.of_store(request)
        elif phase == "before":
            self._names[turn] = _statement(request, self._prepared[threading.get_ident()])
        return self._names[turn]


def _statement(message: bytes, prepared: dict[bytes, str]) -> str | None:
    """Return the statement of a message of PostgreSQL's protocol (manual, "Message Formats")."""
    kind = message[:1]
    if kind == b"P":
        name, text = message[5:].split(b"\0", 2)[:2]
        if known := _known(text):
            prepared[name] = known
        return known
    if kind == b"Q":
        return _known(message[5:-1])
    if kind == b"B":
        return prepared.get(message[5:].split(b"\0", 2)[1])
    if kind == b"\0":
        return CONNECT
    return {b"p": LOG_IN, b"X": "log out"}.get(kind)


def _known(text: bytes) -> str | None:
    if b"pg_backend_pid" in text:
        return FIND_POOLER
    for name in (*STATEMENTS, *_SHARING, *_ASSIGNING):
        if _pattern(name).fullmatch(text):
            return name
    for name, part in (_TASKS | _DEFERRING).items():
        if part in text:
            return name
    is_other = any(_pattern(name).fullmatch(text) for name in _OTHERS)
    return OTHER if is_other or any(part in text for part in _OTHER_PARTS) else None


@cache
def _pattern(name: str) -> re.Pattern[bytes]:
    text = re.escape(statement(name))
    return re.compile(re.sub(rb"%\\\(\w+\\\)s|%\(\w+\)s", rb"\\$\\d+", text))
