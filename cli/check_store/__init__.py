"""Whether an object store can be trusted with pictures: what is asked, and what answers mean."""
