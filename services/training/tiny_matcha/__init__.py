"""The embedded MatCha: a small ``Pix2StructForConditionalGeneration``, trained from scratch on charts drawn here."""
