"""What transforms of pictures share: formats, limits, and what Pillow is known to misread."""
