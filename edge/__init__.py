"""What runs on an edge device: camera -> motion -> faces -> JPEG -> local broker."""
