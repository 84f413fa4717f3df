"""Asking a service: one question, again where that is worth it, and a whole run of them."""
