"""The flow: values (nouns), and the agents that move them from MQTT to ticket (verbs)."""
