"""The errors of an edge device: one sentence each, below `worker.errors.PipelineError`."""

from worker.errors import PipelineError


class SourceUnavailable(PipelineError):
    """The camera, file or folder yields no picture; it may be opened again later."""


class SpoolUnusable(PipelineError):
    """The spool's folder cannot be used, now or after a retry."""


class SpoolBusy(SpoolUnusable):
    """Another process has the spool open."""


class SpoolFull(PipelineError):
    """The spool or its disk has no room for a picture now."""


class BrokerUnavailable(PipelineError):
    """The broker cannot be reached, or has closed the connection; the message says why."""


class LoginRefused(BrokerUnavailable):
    """The broker is reached and does not accept user and password."""
