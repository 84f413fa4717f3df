"""What a service says of itself: metrics, a log line for each request, and traces. It knows no route."""
