"""The service `ingest`: subscribes to the broker, stores each message, confirms it."""

import hmac
import os
import threading
from functools import partial

from worker import logs
from worker.broker import PASSWORD
from worker.ingest.intake import Intake
from worker.ingest.subscription import Subscription
from worker.jobs.signals import on_signal
from worker.ledger.postgres_messages import open_messages
from worker.settings import Settings
from worker.store.s3_store import open_store

_END_SECONDS, _FINISH_SECONDS = 10, 7  # from a signal to the end, and to the last statement


def ingest(settings: Settings, port: int) -> None:
    """Store messages until a signal ends the process.

    Args:
        settings: The stack's.
        port: Of the broker, on the loopback interface.

    Raises:
        ServiceUnavailable: A thread has ended.
    """  # noqa: DOC502  raised by what it calls
    logs.configure(service="ingest")
    # The password is another one after each start of the machine, when the session goes on.
    secret = settings.credential("s3-secret-key").encode()
    session = f"ingest-{hmac.digest(secret, b'ingest session', 'sha256').hex()}"
    subscription = Subscription(port, settings.credential(PASSWORD), session)
    intake = Intake(
        settings,
        open_store(settings),
        partial(open_messages, settings),
        subscription.settle,
        network_problem=lambda: subscription.problem,
    )
    on_signal(partial(_stop, subscription))
    intake.start()
    subscription.run(intake.arrive, lambda: intake.is_full, lambda: intake.is_alive)
    intake.stop(_FINISH_SECONDS)
    subscription.finish()


def _stop(subscription: Subscription) -> None:
    """End within 10 s; what is not stored by then is sent again."""
    timer = threading.Timer(_END_SECONDS, os._exit, [1])
    timer.daemon = True
    timer.start()
    subscription.stop()
