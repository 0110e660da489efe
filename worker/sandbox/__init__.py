"""The sandbox: processes that run transforms without credentials, network or other files."""
