"""The status page: what the daemon says of itself to whoever opens `/` in a browser, and keeps saying."""

from replicator.api.page.routes import router

__all__ = ["router"]
