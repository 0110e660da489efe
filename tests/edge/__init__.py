"""What runs on an edge device."""
