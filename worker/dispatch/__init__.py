"""Dispatch of listed works to several machines, by procrastinate on the stack's PostgreSQL."""

import logging

# procrastinate names the arguments of each task, and QueueConnector reports what fails.
for _name in ("procrastinate", "psycopg.pool"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)
