"""What cameras send over MQTT is stored in input buckets."""
