"""The resource types of the local cloud, one file each; `registry` lists them."""
