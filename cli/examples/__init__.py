"""The project's examples: found, deployed as a local stack of their own, shown, taken down."""
