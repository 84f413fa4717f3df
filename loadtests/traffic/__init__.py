"""The Locust side: which questions are sent when and how, and where outcomes are recorded."""
