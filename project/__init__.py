"""The demo site: not shipped with the app, and not a model of a production site."""
