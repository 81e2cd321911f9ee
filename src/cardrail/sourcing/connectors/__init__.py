"""The connectors: a folder each, strangers to one another. Each has a ``KIND`` at its front door; ``sourcing.registry`` lists them."""
