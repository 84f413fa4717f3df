"""Code that both services share: settings, model folders, the HTTP process and the worker."""
