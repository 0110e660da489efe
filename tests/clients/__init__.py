"""Other programs' S3 clients, over a slow link, while the worker is at work."""
