"""What an operator can watch: metrics that Prometheus fetches, and traces that OpenTelemetry sends."""
