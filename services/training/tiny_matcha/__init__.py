"""The embedded MatCha: a small ``Pix2StructForConditionalGeneration``, trained from nothing on charts drawn here."""
