"""The page and the upload API: how people and programs without an S3 client use a stack."""
