"""Management over HTTP: the service's Atom interface for queues, and the control path of the sandbox."""
