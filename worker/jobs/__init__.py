"""Jobs: a pass over the input bucket, and the steps that each upload goes through."""
