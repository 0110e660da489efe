-- Mark a migration as applied.
INSERT INTO pipeline.migrations (version, name) VALUES (%(version)s, %(name)s);
