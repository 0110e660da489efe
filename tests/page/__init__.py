"""The page in headless Chromium, as a person uses it."""
