"""Who may ask, and what slow or hostile clients may do: the API keys and their settings."""
