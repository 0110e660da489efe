"""Waits until the message broker has the named queues: `queues.py PORT SECONDS NAME…`.

A message sent to a queue before its reader made it is lost.
"""

import sys
import time

import amqp

PORT, SECONDS, *NAMES = sys.argv[1:]
deadline = time.monotonic() + float(SECONDS)
while NAMES:
    try:
        with amqp.Connection(f"127.0.0.1:{PORT}") as connection:
            connection.channel().queue_declare(NAMES[0], passive=True)
        NAMES.pop(0)
    except (amqp.exceptions.AMQPError, OSError):
        if time.monotonic() > deadline:
            sys.exit(f"no queue {NAMES[0]}")
        time.sleep(0.2)
