-- Files that came over HTTP. Their senders got the tokens.
CREATE TABLE pipeline.uploads (
    token text PRIMARY KEY, -- also in the object's metadata
    batch text NOT NULL, -- stands for the request
    number integer NOT NULL, -- in the request, from 1
    stack text NOT NULL,
    pipeline text NOT NULL,
    key text NOT NULL,
    key_sha256 bytea NOT NULL,
    sha256 text NOT NULL,
    bytes bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON pipeline.uploads (batch);

-- What the metadata of a job's upload said; anybody can write it.
ALTER TABLE pipeline.results ADD COLUMN upload_token text;
CREATE INDEX ON pipeline.results (upload_token) WHERE upload_token IS NOT NULL;
