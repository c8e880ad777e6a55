"""The trail for programs: read only, and the only place that knows REST framework."""
