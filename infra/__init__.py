"""The pipeline's resources, one component a file."""
