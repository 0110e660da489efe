"""The steps of a pass, as requests that a proxy sees."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

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
#: The statements of a pass, by the names of their files in worker/ledger/sql.
STATEMENTS = (
    "lost_leases",
    "unfinished_attempts",
    "find_origins",
    "start_jobs",
    "record_results",
    "clear_attempts",
    "heartbeat",
    "begin_gathering",
    "ended_runs",
    "runs",
    "add_gathers",
    "note_gathers",
    "gathered_bytes",
    "gathers",
)
#: Steps of pipelines that gather, and of no others.
GATHERING = (*tuple(REQUESTS)[-2:], *STATEMENTS[-7:])
CONNECT, LOG_IN, FIND_POOLER = "connect", "log in", "find pooler"
STEPS = {STORE: tuple(REQUESTS), DATABASE: (CONNECT, FIND_POOLER, *STATEMENTS)}


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

    def name(self, peer: str, request: bytes, prepared: dict[bytes, str]) -> str | None:
        """Return the step of a request, None if it is not known.

        Args:
            peer: The server.
            request: Its first bytes.
            prepared: The statements that the session has prepared; kept between calls.
        """
        if peer == STORE:
            line = request.partition(b" HTTP/")[0].decode() + " "
            return next((step for step, one in self.patterns.items() if one.match(line)), None)
        return _statement(request, prepared)


def _statement(message: bytes, prepared: dict[bytes, str]) -> str | None:
    """Return the statement of a message of PostgreSQL's protocol (manual, "Message Formats")."""
    kind = message[:1]
    if kind == b"P":
        name, text = message[5:].split(b"\0", 2)[:2]
        for known in STATEMENTS:
            if _pattern(known).fullmatch(text):
                prepared[name] = known
                return known
    if kind == b"B":
        return prepared.get(message[5:].split(b"\0", 2)[1])
    if kind == b"\0":
        return CONNECT
    return {b"p": LOG_IN, b"Q": FIND_POOLER, b"X": "log out"}.get(kind)


def _pattern(name: str) -> re.Pattern[bytes]:
    text = re.escape(statement(name))
    return re.compile(re.sub(rb"%\\\(\w+\\\)s|%\(\w+\)s", rb"\\$\\d+", text))
