"""Load tests of both services with Locust, without coordinated omission: latency counts from when a request was due.

A run is a folder that ``clients.replay`` can also read. Tables are a pure function of that folder.
"""
