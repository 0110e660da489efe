"""Cameras, an edge broker, a bridge, the cloud's broker, ingest, store and database, all killed."""
