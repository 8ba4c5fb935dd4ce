"""Where ticket events go: webhooks, mail. Each desk implements ``streams.ports.Desk``."""
