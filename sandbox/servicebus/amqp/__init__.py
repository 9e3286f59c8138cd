"""AMQP 1.0 on the wire: types, frames, performatives and the sections of a message. No I/O, no Service Bus."""
