"""The object store: the S3 client and the operations on buckets that the worker needs."""
