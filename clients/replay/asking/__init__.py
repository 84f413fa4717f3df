"""Ask a service: one question, with retries, and a whole run."""
