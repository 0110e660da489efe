"""Dynamic providers of the stack, and the thin HTTP and S3 clients that they share."""
