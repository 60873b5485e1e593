"""The terminal program: what is on the bus, and recordings on a timeline."""
