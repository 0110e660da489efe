"""The HTTP services of the local cloud, one file each."""
