"""Azure Functions as the other side of an entry point: switched by an application setting of their app."""
