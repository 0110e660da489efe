"""The images of worker/ and edge/, built by the release's own script and pushed to a real registry.

buildah works without a container engine. What no registry provides here is the base image: a tree
of the same Debian takes its name.
"""
