"""``/openapi.json``: what each route takes and gives, well enough to generate typed clients from."""
