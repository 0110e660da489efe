"""Dispatch of listed works to several machines, by procrastinate on the stack's PostgreSQL."""
