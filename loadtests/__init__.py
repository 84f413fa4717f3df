"""Load tests of both services on Locust, whose figures a slow server cannot hide behind a slow client.

A run is a folder that ``clients.replay`` reads too. What a table says of it is a pure function of that folder.
"""
