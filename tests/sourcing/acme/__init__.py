"""A made-up supplier: its page, a server that plays it, and a connector to it."""
