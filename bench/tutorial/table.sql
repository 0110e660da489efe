CREATE TABLE log_records (
    timestamp varchar(25) PRIMARY KEY,
    negated_image_name text,
    negated_image_hash text
);
