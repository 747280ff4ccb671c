"""What runs inside a framework's own environment: the wire format, the recorder, and one file a framework."""
