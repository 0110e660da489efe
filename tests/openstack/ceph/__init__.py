"""A real Ceph on loopback: monitor, storage daemon (in memory), RADOS Gateway for S3 and Swift."""
