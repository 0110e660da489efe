"""The worker: transforms the objects of an input bucket; runs on the machine."""
