"""From the bytes of an image file to the pixels that a browser shows.

Services and the replay client read images with this package, so that a report shows what the model saw. It stands
beside ``services`` because clients may import nothing of the services but the wire contract, which knows no Pillow.
"""
