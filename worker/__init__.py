"""A bucket goes in, a transform runs, a bucket and a database come out."""
