-- Pictures that cameras sent over MQTT. A row is written before its object is, and marked after it.
-- Rows of what became a job are purged after a week: `results` says the same for good.
CREATE TABLE pipeline.messages (
    id text PRIMARY KEY, -- stands for the job that would have made the object
    stack text NOT NULL,
    pipeline text NOT NULL, -- whose input bucket has the object
    camera text NOT NULL,
    boot text NOT NULL,
    number bigint NOT NULL,
    key text NOT NULL,
    sha256 text NOT NULL,
    bytes bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    stored_at timestamptz -- null until the object is in the input bucket
);
CREATE INDEX ON pipeline.messages (stack, camera, boot, number);
CREATE INDEX ON pipeline.messages USING brin (created_at);

-- What cameras counted in each minute, and how much of it has arrived.
CREATE TABLE pipeline.camera_minutes (
    stack text NOT NULL,
    camera text NOT NULL,
    boot text NOT NULL,
    minute timestamptz NOT NULL, -- of the camera's clock, which may be wrong
    first_number bigint NOT NULL, -- of the pictures generated in it
    last_number bigint NOT NULL, -- less than the first if there were none
    generated bigint NOT NULL,
    dropped bigint NOT NULL, -- by the camera, perhaps of earlier minutes
    received bigint NOT NULL, -- of these numbers, so far
    bytes bigint NOT NULL, -- generated
    delay_median_ms double precision, -- from the picture to its confirmation
    delay_p99_ms double precision,
    qos integer NOT NULL,
    clock_offset double precision NOT NULL, -- seconds of the camera's clock before ours, on arrival
    counted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (stack, camera, boot, minute, first_number)
);
CREATE INDEX ON pipeline.camera_minutes (stack, camera, counted_at);
CREATE INDEX ON pipeline.camera_minutes (stack, camera, boot, last_number);
