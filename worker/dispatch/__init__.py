"""Dispatch of listed works to several machines, by procrastinate on the stack's PostgreSQL."""

import logging

# procrastinate would log every task with its arguments; failures are reported by QueueConnector.
for _name in ("procrastinate", "psycopg.pool"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)
