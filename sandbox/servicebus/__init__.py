"""A local imitation of Azure Service Bus queues: a development tool, never for data that matters."""
