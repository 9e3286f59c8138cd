"""Connections, sessions and links: how clients reach the broker over AMQP."""
