#!/usr/bin/env bash
# What the tutorial's machine ran each minute, written afresh: a yardstick, not a model.
# INPUT and OUTPUT: buckets; PAUSE: seconds after each object (the tutorial's: 1); S3CMD_CONFIG: file.
# PGHOST, PGPORT, PGDATABASE, PGUSER, PGPASSWORD: read by psql. Works in the current folder.
exec 9>lock
flock -n 9 || exit 0

s3() { s3cmd --config "$S3CMD_CONFIG" --no-progress --quiet "$@"; }

s3cmd --config "$S3CMD_CONFIG" ls "s3://$INPUT" | while read -r _ _ _ object; do
    name=$(basename "$object")
    s3 get "$object" "$name"
    convert "$name" -negate "negated_$name"
    hash=$(sha256sum "negated_$name" | cut -d ' ' -f 1)
    # Milliseconds: the tutorial's whole seconds would collide without its pause.
    timestamp=$(date +%Y-%m-%dT%H:%M:%S.%3N)
    psql -q -c "INSERT INTO log_records VALUES ('$timestamp', 'negated_$name', '$hash')"
    s3 put "negated_$name" "s3://$OUTPUT/negated_$name"
    rm "$name" "negated_$name"
    s3 del "$object"
    sleep "$PAUSE"
done
